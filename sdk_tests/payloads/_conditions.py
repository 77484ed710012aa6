"""Prints, as JSON, the conditions of this node that make many cases fail: folders, limits, loopback, locale.

Run by the harness as ``python _conditions.py '{"folders": ["/scratch/me"], "interface": "hsn0"}'`` in the
environment of payloads. Each condition is tried, not read from a table. The last line of output is a list of objects:
``message``, and ``blocks``: whether no case of a component can pass. Standard library only.
"""

import contextlib
import json
import locale
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

WRITTEN = 1 << 20
"""Bytes that are written to each folder."""
OPENED = 64
"""File descriptors that are opened at once."""
FEW = 256
"""A limit of file descriptors below this is reported; pilots and workers need about as many."""
THREADS = 16
RESOLVED = 2
"""Seconds for the name of this host."""
SHELL = 20
"""Seconds for a shell to start and to end."""


def folder(path):
    """Write a file to a folder and read it."""
    with tempfile.TemporaryFile(dir=path) as file:
        file.write(b"\0" * WRITTEN)
        file.flush()
        file.seek(0)
        if len(file.read()) != WRITTEN:
            raise OSError(f"Input/output error: wrote {WRITTEN} bytes and read fewer")


def descriptors():
    """Open files."""
    opened = []
    try:
        for _ in range(OPENED):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for each in opened:
            os.close(each)


def processes():
    """Start threads, and a process."""
    ended, threads = threading.Event(), []
    try:
        for _ in range(THREADS):
            thread = threading.Thread(target=ended.wait, daemon=True)
            thread.start()
            threads.append(thread)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def loopback():
    """Exchange a byte through 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        with socket.create_connection(server.getsockname(), 5) as client:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"!")
                client.recv(1)


def shell():
    """Let bash run a script of one line, as PSI/J, Parsl and RADICAL do for each job; BASH_ENV is read before it."""
    try:
        done = subprocess.run(
            ["bash", "-c", "exit 42"], stdin=subprocess.DEVNULL, capture_output=True, timeout=SHELL, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"`bash -c 'exit 42'` does not end within {SHELL} s{_start_file()}") from error
    if done.returncode != 42:
        words = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise OSError(f"`bash -c 'exit 42'` ends with {done.returncode}{_start_file()}{': '.join(['', *words])}")


def _start_file():
    return f" (BASH_ENV={os.environ['BASH_ENV']})" if os.environ.get("BASH_ENV") else ""


def resolving_problem(name):
    """Return why a host name cannot be resolved soon, else None; a name server that is gone may take minutes."""
    problems = []

    def resolve():
        try:
            socket.getaddrinfo(name, None)
            problems.append(None)
        except OSError as error:
            problems.append(f"cannot be resolved: {error}")

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(RESOLVED)
    return problems[0] if problems else f"is not resolved within {RESOLVED} s"


def tried(name, function, *args):
    """Return the message of a condition that does not hold, else None."""
    try:
        function(*args)
    except (OSError, RuntimeError, MemoryError) as error:
        return f"{name}: {type(error).__name__}: {error}"
    return None


def temporary():
    return os.environ.get("TMPDIR") or "/tmp"


def noted(request):
    """Yield what is unusual but need not make a case fail."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if OPENED < soft < FEW:
        yield f"the limit of open files is {soft} (ulimit -n); pilots and workers may need more"
    try:
        locale.setlocale(locale.LC_ALL, "")
    except locale.Error as error:
        names = {name: os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if name in os.environ}
        yield f"locale: {error}: {names}"
    with contextlib.suppress(OSError):
        if request.get("interface") and request["interface"] not in dict(map(reversed, socket.if_nameindex())):
            yield f"no network interface {request['interface']}, which the site file names under network:"
    problem = resolving_problem(socket.gethostname())
    if problem:
        yield f"the name of this host, {socket.gethostname()}, {problem}"
    for name, path in [("TMPDIR", temporary()), *(("the work folder", path) for path in request.get("folders", ()))]:
        with contextlib.suppress(OSError):
            if os.statvfs(path).f_flag & os.ST_NOEXEC:
                yield f"{name} ({path}) is mounted noexec: a program or script that is written there cannot be started"
    if shutil.which("bash") is None:
        yield "there is no bash; PSI/J, Parsl and RADICAL start their jobs with it"
    mask = os.umask(0o022)
    os.umask(mask)
    if mask & 0o700:
        yield f"umask is {mask:03o}: files that programs create are not usable by their owner"
    message = tried(f"HOME ({os.environ.get('HOME')})", folder, os.environ["HOME"]) if "HOME" in os.environ else ""
    if message:
        yield message


def main():
    request = json.loads(sys.argv[1])
    blocking = [tried(f"TMPDIR ({temporary()})", folder, temporary())]
    blocking += [tried(f"the work folder {path}", folder, path) for path in request.get("folders", ())]
    blocking += [
        tried(f"{OPENED} open files", descriptors),
        tried(f"{THREADS} threads and a process", processes),
        tried("loopback 127.0.0.1", loopback),
        tried("bash", shell) if shutil.which("bash") else None,
    ]
    conditions = [{"message": message, "blocks": True} for message in blocking if message]
    conditions += [{"message": message, "blocks": False} for message in noted(request)]
    print(f"\n{json.dumps(conditions)}", flush=True)
    os._exit(0)  # a thread may still wait for a name server


if __name__ == "__main__":
    main()
