"""Runs a payload in the process of a fixture, in place of a process of its own: ``python _guest.py FILE COMMAND...``.

``FILE`` names the socket of the fixture; ``COMMAND`` is the interpreter, the payload and its request. What the payload
writes goes to two files in the current folder; this process copies them to its own output while they grow, and exits as
the payload did. On SIGTERM it closes the connection, upon which the fixture ends, and still copies what that prints.
Standard library only.
"""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time

INTERVAL = 0.1
"""Seconds after which the files are looked at again."""
END = 2.5
"""Seconds that the fixture has to end after SIGTERM; half a second later the harness kills this process."""


def main():
    ready, _, *argv = sys.argv[1:]
    folder = os.getcwd()
    paths = {number: os.path.join(folder, f".fixture.{number}") for number in (1, 2)}
    deadline = None
    connection = socket.socket(socket.AF_UNIX)

    def leave(*_):
        nonlocal deadline
        deadline = deadline or time.monotonic() + END
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)

    signal.signal(signal.SIGTERM, leave)
    for path in paths.values():
        with open(path, "wb"):
            pass
    files = {number: os.open(path, os.O_RDONLY) for number, path in paths.items()}
    try:
        with open(ready) as file:
            connection.connect(f"\0{file.read()}")
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != os.getuid():
            raise OSError("it belongs to another user")
        given = {"argv": argv, "folder": folder, "stdout": paths[1], "stderr": paths[2]}
        connection.sendall(json.dumps(given).encode() + b"\n")
    except OSError as error:
        return finish(files, f"the fixture cannot be used: {error}")
    answer = b""
    while deadline is None or time.monotonic() < deadline:
        readable, _, _ = select.select([connection], [], [], INTERVAL)
        copy(files)
        if readable:
            try:
                chunk = connection.recv(4096)
            except OSError:
                chunk = b""
            answer += chunk
            if not chunk:
                break
    try:
        code = json.loads(answer)["exit"]
    except ValueError:
        return finish(files, "" if deadline else "the fixture ended while this payload ran in it")
    copy(files)
    return code


def finish(files, reason):
    """Copy what is left, print the reason, and return the exit code of a payload that has not ended by itself."""
    copy(files)
    if reason:
        os.write(2, f"{reason}\n".encode())
    return 1


def copy(files):
    """Copy what has been added to the files to standard output and standard error."""
    for number, file in files.items():
        while chunk := os.read(file, 1 << 16):
            while chunk:
                chunk = chunk[os.write(number, chunk) :]


if __name__ == "__main__":
    sys.exit(main())
