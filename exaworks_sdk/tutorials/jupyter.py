"""JupyterLab: its environment, and a server for one user on the loopback interface."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exaworks_sdk.environment import EnvironmentFailedError, Recipe, machine, make
from exaworks_sdk.errors import TutorialsError
from exaworks_sdk.paths import Places

LOCK = Path(__file__).parent / "jupyter.lock"
LOOPBACK = "127.0.0.1"
FIRST_PORT = 8888
START = "README.ipynb"
_PORTS = 50
_STARTS_WITHIN = 60.0  # seconds; the first start compiles JupyterLab's modules
_ENDS_WITHIN = 10.0

_QUIET = (
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",  # otherwise it asks a server on the internet
    "--LabApp.extension_manager=readonly",
    "--LabApp.log_level=WARN",
    "--ServerApp.log_level=WARN",
)


@dataclass(frozen=True)
class Server:
    """How to start JupyterLab. The token is in a variable, because other users can read a command line."""

    python: Path
    folder: Path
    environ: Mapping[str, str]
    host: str = LOOPBACK
    port: int = FIRST_PORT
    browser: bool = True
    token: str = field(default_factory=lambda: secrets.token_hex(24), repr=False)

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def link(self) -> str:
        """The address with the token, for a browser on this machine."""
        return f"{self.address}/lab/tree/{START}?token={self.token}"

    def command(self) -> list[str]:
        argv = [str(self.python), "-I", "-m", "jupyterlab", f"--ServerApp.ip={self.host}"]
        argv += [f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.folder}"]
        argv += [f"--LabApp.default_url=/lab/tree/{START}", *_QUIET]
        argv += [] if self.browser else ["--ServerApp.open_browser=False"]
        return [*argv, "--ServerApp.allow_root=True"] if os.geteuid() == 0 else argv


def make_environment(places: Places, progress: Callable[[str], None]) -> Path:
    """Return the Python of JupyterLab's environment, after creating it if necessary.

    Raises:
        TutorialsError: it could not be created.
    """
    version = "{}.{}".format(*sys.version_info[:2])
    wheelhouse = os.environ.get("EXAWORKS_WHEELHOUSE")
    recipe = Recipe(
        folder=places.home / "env" / f"jupyter-{machine()}-py{version}",
        lock=LOCK,
        label="the environment of JupyterLab",
        wheelhouse=Path(wheelhouse) if wheelhouse else None,
    )
    try:
        return make(recipe, progress) / "bin" / "python"
    except EnvironmentFailedError as error:
        raise TutorialsError(str(error)) from error


def free_port(first: int = FIRST_PORT, host: str = LOOPBACK) -> int:
    """Return the first port from ``first`` on that no program uses.

    Raises:
        TutorialsError: fifty ports are in use, or the address is not one of this machine.
    """
    for port in range(first, min(first + _PORTS, 65536)):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((host, port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    continue
                raise TutorialsError(f"cannot listen on {host}: {error.strerror}. Choose another --host.") from error
            return port
    raise TutorialsError(f"the ports from {first} on are in use. Choose another with --port.")


@contextmanager
def running(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server, and end it with its kernels. The block begins when the server answers.

    Raises:
        TutorialsError: it ended, or did not answer within a minute.
    """
    with subprocess.Popen(
        server.command(),
        cwd=server.folder,
        env={**server.environ, "JUPYTER_TOKEN": server.token},
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # an interrupt of the terminal reaches only the command, which then ends the server
    ) as process:
        try:
            _wait(server, process)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    request = urllib.request.Request(  # noqa: S310 - the address is ours
        f"{server.address}/api/status", headers={"Authorization": f"token {server.token}"}
    )
    end = time.monotonic() + _STARTS_WITHIN
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
    while time.monotonic() < end:
        if process.poll() is not None:
            raise TutorialsError(f"JupyterLab ended with exit code {process.returncode}; its messages are above.")
        try:
            direct.open(request, timeout=5).close()
        except urllib.error.HTTPError as error:
            raise TutorialsError(
                f"another server answers at {server.address} ({error}). Choose another with --port."
            ) from error
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TutorialsError(f"JupyterLab did not answer at {server.address} within {_STARTS_WITHIN:.0f} s.")
