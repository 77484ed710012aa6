"""The server process: its socket, its lock, its ready file, and its end."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import ipaddress
import json
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import uvicorn
from sqlalchemy.engine import URL

from collector.auth.tokens import check_key, load_key
from collector.clock import iso, now_ms
from collector.errors import AddressError, CollectorError, StoreBusyError
from collector.notify.delivery import delivering
from collector.server.app import make_app
from collector.server.connections import KEEP_ALIVE_SECONDS, MAX_HEADER_BYTES, Connections, guarded, protocol
from collector.settings import read_settings
from collector.store.database import open_store
from collector.web.addresses import Network, read_networks
from collector.web.bookkeeping import keeping_books
from collector.web.context import Server

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
GRACE_SECONDS = 5

GC_THRESHOLD = (10_000, 100, 100)
"""Thresholds of Python's garbage collector. A batch creates some hundred thousand objects and no cycles.

With the default thresholds, a third of the time is spent on the search for cycles. With these, only the youngest
generation is searched often. That takes about 4 ms, during which a page that is being drawn waits.
"""

Addresses = Sequence[tuple[socket.AddressFamily, tuple[str, int]]]


@dataclass(frozen=True)
class Options:
    """The options of ``exaworks collector serve``.

    ``trusted_proxies``: addresses and networks of proxies whose ``X-Forwarded-`` headers count. ``public_url``: the
    address under which browsers reach the server. ``allowed_hosts``: further host names of the server.
    """

    url: URL
    key_file: Path
    host: str
    port: int
    allow_remote: bool = False
    ready_file: Path | None = None
    token_file: Path | None = None
    exit_with: int | None = None
    private: bool = False
    process_token: str | None = None
    config_file: Path | None = None
    trusted_proxies: Sequence[str] = ()
    public_url: str | None = None
    allowed_hosts: Sequence[str] = ()


class Uvicorn(uvicorn.Server):
    """Uvicorn that calls ``ready`` once it accepts connections, and exits with code 0 on SIGTERM and SIGINT."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], exit_with: int | None) -> None:
        super().__init__(config)
        self._ready = ready
        self._exit_with = exit_with

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._exit_with is not None:
            self._watch(self._exit_with)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        signals = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._stop) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.should_exit and number == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    def _watch(self, process: int) -> None:
        """Stop this server when the given process ends, for whatever reason."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self.should_exit = True

        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            self.should_exit = True
        except (AttributeError, OSError):  # the kernel or the C library has no pidfd
            self._poll(loop, process)
        else:
            loop.add_reader(descriptor, stop)

    def _poll(self, loop: asyncio.AbstractEventLoop, process: int) -> None:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            self.should_exit = True
        except PermissionError:
            loop.call_later(1, self._poll, loop, process)
        else:
            loop.call_later(1, self._poll, loop, process)


def serve(options: Options, echo: Callable[[str], None]) -> None:
    """Serve until SIGTERM, SIGINT, or the end of the process in ``exit_with``. ``echo`` prints one line for the user.

    Raises:
        CollectorError: the database cannot be opened, or the address cannot be used.
    """
    line = "%(asctime)s %(name)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format=line)
    addresses = _addresses(options)
    proxies, public_url = _proxies(options), _public_url(options)
    settings = read_settings(options.config_file)
    with ExitStack() as stack:
        lock = stack.enter_context(_locked(options.url, echo)) if options.url.get_backend_name() == "sqlite" else None
        for stale_file in (options.ready_file, options.token_file):  # of a server that was killed
            if stale_file is not None:
                _remove(stale_file)
        key = load_key(options.key_file)
        store = open_store(options.url)
        stack.callback(store.close)
        listening = stack.enter_context(listening_socket(addresses))
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{port}"
        token = options.process_token or (secrets.token_urlsafe(32) if options.token_file or options.private else None)
        server = Server(
            store=store,
            key=key,
            process_token=token,
            private=options.private,
            settings=settings,
            hosts=_hosts(options, host, public_url),
            public_url=public_url,
        )
        server.write(lambda connection: check_key(connection, key, options.key_file))
        for notice in store.notices:
            echo(f"notice: {notice}")

        def ready() -> None:
            about = {"url": url, "pid": os.getpid(), "started": iso(now_ms())}
            about |= {"private": options.private, "token_file": str(options.token_file) if options.token_file else None}
            if lock is not None:
                os.ftruncate(lock, 0)
                os.pwrite(lock, json.dumps(about).encode(), 0)
            if options.token_file is not None and token is not None:
                _write_private(options.token_file, f"{token}\n")
                stack.callback(_remove, options.token_file)
            if options.ready_file is not None:
                _write_private(options.ready_file, json.dumps(about))
                stack.callback(_remove, options.ready_file)
            link = f"open/{server.sessions.new_link()}" if options.private and token else ""
            public = f", for browsers {public_url}/{link}" if public_url else ""
            once = "; the link opens once, for reading" if link else ""
            echo(f"collector at {url}/{'' if public else link}{public}  (Ctrl-C stops it{once})")

        config = uvicorn.Config(
            guarded(make_app(server), proxies),
            http=protocol(Connections(proxies)),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # uvicorn trusts every process on the loopback interface
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        if options.exit_with is not None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it ends with that process, not with the terminal
        stack.enter_context(keeping_books(server))
        stack.enter_context(delivering(server))
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        Uvicorn(config, ready, options.exit_with).run(sockets=[listening])


def _addresses(options: Options) -> Addresses:
    try:
        results = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise AddressError(
            f"--host {options.host!r} cannot be resolved: {error.strerror}. Use an address of this machine."
        ) from error
    addresses = [(family, (str(address[0]), int(address[1]))) for family, _, _, _, address in results]
    open_to_others = [address for _, (address, _) in addresses if not ipaddress.ip_address(address).is_loopback]
    if open_to_others and not options.allow_remote:
        raise AddressError(
            f"--host {options.host} can be reached from other machines, and this server uses plain HTTP without "
            "encryption. Use 127.0.0.1 behind a proxy with TLS, or add --allow-remote."
        )
    return addresses


def _proxies(options: Options) -> list[Network]:
    try:
        return read_networks(options.trusted_proxies)
    except ValueError as error:
        raise AddressError(
            f"--trusted-proxy: {error}. Use the address or the network of the proxy, such as 127.0.0.1 or 10.0.0.0/24."
        ) from error


def _public_url(options: Options) -> str | None:
    if options.public_url is None:
        return None
    parts = urlsplit(options.public_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path.strip("/"):
        raise AddressError(
            f"--public-url {options.public_url!r} must be a scheme and a host, such as https://status.example.org. "
            "A path is not supported: give the collector a host name or a port of its own."
        )
    return f"{parts.scheme}://{parts.netloc}"


def _hosts(options: Options, host: str, public_url: str | None) -> frozenset[str] | None:
    """Return the host names of the server; None if it is open to others and no name is configured."""
    named = {name.lower().strip("[]") for name in options.allowed_hosts}
    if public_url is not None:
        named.add(str(urlsplit(public_url).hostname))
    if not named and not ipaddress.ip_address(host).is_loopback:
        return None
    return LOOPBACK_NAMES | {host, options.host.lower()} | named


@contextmanager
def listening_socket(addresses: Addresses) -> Iterator[socket.socket]:
    """Yield a socket that is bound to the first address.

    It names its protocol, because asyncio turns off the waiting for further data (``TCP_NODELAY``) only for connections
    that do. Otherwise the body of a short response waits 40 ms for the client to acknowledge the header.

    Raises:
        AddressError: the address is in use, or not one of this machine.
    """
    family, address = addresses[0]
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
        except OSError as error:
            reason = f"cannot listen on {address[0]} port {address[1]}: {error.strerror}."
            raise AddressError(f"{reason} --port 0 chooses a free port.") from error
        yield listening


@contextmanager
def _locked(url: URL, echo: Callable[[str], None]) -> Iterator[int]:
    """Hold a lock on the file beside a SQLite database, so that only one server uses the database."""
    database = Path(url.database or "")
    lock_file = database.with_name(f"{database.name}.lock")
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CollectorError(f"cannot open {lock_file}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with suppress(ValueError, KeyError):
                about = json.loads(os.pread(descriptor, 4096, 0))
                raise StoreBusyError(
                    f"{database} is already served at {about['url']} by process {about['pid']}. "
                    "Use that one, or stop it first."
                ) from error
            raise StoreBusyError(f"{database} is already served by another process. Stop it first.") from error
        except OSError as error:
            echo(
                f"notice: {lock_file} cannot be locked ({error.strerror}). "
                f"Make sure that only one collector serves {database}."
            )
        yield descriptor
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read; the rename makes it appear complete."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    fresh.replace(file)


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
