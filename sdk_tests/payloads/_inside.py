"""The first process of a container: runs one program and ends with it, or as soon as the harness outside is gone.

``python3 _inside.py LIFELINE PROGRAM ARGUMENT...``. ``LIFELINE`` is a named pipe whose other end the harness's side
holds open; its end of file is the one sign of death that reaches into a container whatever killed the client. As
process 1 this is also the one whose exit takes every other process of the container along. Standard library only, for
any Python from 3.6.
"""

import os
import select
import signal
import sys


def main():
    lifeline, argv = sys.argv[1], sys.argv[2:]
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    held = os.open(lifeline, os.O_RDONLY | os.O_NONBLOCK)
    if _closed(held):  # select does not tell of an end that came before this process opened the pipe
        os._exit(137)
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(held)
        try:
            os.execvp(argv[0], argv)
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
            os._exit(127)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: _kill(child, n))
    while True:
        ready, _, _ = select.select([wake, held], [], [])
        if held in ready and _closed(held):
            _kill(child, signal.SIGKILL)
            os._exit(137)
        if wake in ready:
            os.read(wake, 4096)
            code = _reap(child)
            if code is not None:
                os._exit(code)


def _closed(held):
    try:
        return not os.read(held, 1)
    except BlockingIOError:
        return False


def _kill(child, number):
    for kill in (os.killpg, os.kill):  # the child alone where it has not made its group yet
        try:
            return kill(child, number)
        except ProcessLookupError:
            pass


def _reap(child):
    """Bury whatever has ended; return the exit code to give where that was the program itself."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == child:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


if __name__ == "__main__":
    main()
