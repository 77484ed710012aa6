"""The process of a fixture: starts what several cases share, and runs their payloads one after another.

``python _fixture.py REQUEST``. The file that this names as ``program`` has a function ``fixture(request)``, whose
result is a context manager; its scratch folder is the current one. When it has been entered, the name of a socket is
written into the file ``READY``, and a line is printed. Then commands of cases, which ``_guest.py`` sends, are run in
this process until the file ``STOP`` exists. A payload runs as by itself: as ``__main__``, with its own arguments,
working directory, output and exit code. If its guest goes away, this process gets SIGTERM, and it ends.
"""

import contextlib
import json
import os
import runpy
import secrets
import signal
import socket
import struct
import sys
import threading
import traceback
from pathlib import Path

import _payload

READY, STOP = "ready", "stop"
INTERVAL = 0.2
"""Seconds after which the file ``STOP`` is looked for again."""


def main():
    signal.signal(signal.SIGTERM, _payload.exit_on_sigterm)
    scratch = Path.cwd()
    request = {**json.loads(sys.argv[1]), "scratch": str(scratch)}
    stdout = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        with folder_on_path(request["program"]):
            entered = runpy.run_path(request["program"])["fixture"](request)
            with entered, socket.socket(socket.AF_UNIX) as listener:
                name = f"exaworks-{secrets.token_hex(16)}"
                listener.bind(f"\0{name}")
                listener.listen()
                listener.settimeout(INTERVAL)
                (scratch / f".{READY}").write_text(name)
                (scratch / f".{READY}").rename(scratch / READY)
                os.write(stdout, b"ready\n")  # wakes up the process that waits for the file
                _payload.hosted = True
                serve(listener, scratch / STOP)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stderr.flush()
    os._exit(0)  # some components leave threads that do not end


def serve(listener, stop):
    """Run the command of each guest until ``stop`` exists."""
    while not stop.exists():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection:
            connection.settimeout(None)
            if is_ours(connection):
                serve_guest(connection)


def is_ours(connection):
    """Return whether the process at the other end is of the same user; source: SO_PEERCRED of unix(7)."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid == os.getuid()


def serve_guest(connection):
    """Read one command, run it, and send its exit code.

    Raises:
        SystemExit: the guest went away, or this process got SIGTERM; the fixture cannot be used any more.
    """
    given = json.loads(connection.makefile("rb").readline())
    done = threading.Event()

    def watch():
        connection.recv(1)  # the guest sends nothing more: this is its end
        if not done.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    code = run(given["argv"], given["folder"], given["stdout"], given["stderr"])
    done.set()
    connection.sendall(json.dumps({"exit": code}).encode() + b"\n")
    connection.shutdown(socket.SHUT_RDWR)


def run(argv, folder, stdout, stderr):
    """Run a Python file as ``__main__`` in this process and return its exit code.

    Raises:
        SystemExit: it was ended by SIGTERM.
    """
    kept = os.getcwd(), list(sys.argv), os.dup(1), os.dup(2), sys.stdout
    environ = dict(os.environ)
    sys.stderr.flush()
    for path, number in ((stdout, 1), (stderr, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    own = sys.stdout
    try:
        os.chdir(folder)
        sys.argv[:] = argv
        with folder_on_path(argv[0]):
            runpy.run_path(argv[0], run_name="__main__")
        return 0
    except SystemExit as left:
        if left.code == _payload.ENDED:
            traceback.print_exc()
            raise
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        own.close()
        sys.stderr.flush()
        cwd, sys.argv[:], out, err, sys.stdout = kept
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environ)
        for saved, number in ((out, 1), (err, 2)):
            os.dup2(saved, number)
            os.close(saved)


@contextlib.contextmanager
def folder_on_path(program):
    """Have the folder of a program first on the path of imports, as it is for a program of its own."""
    kept = list(sys.path)
    sys.path.insert(0, str(Path(program).resolve().parent))
    try:
        yield
    finally:
        sys.path[:] = kept


if __name__ == "__main__":
    main()
