"""The first process of a container: runs one program, and ends with it or as soon as the harness outside is gone.

``python3 _inside.py LIFELINE PROGRAM ARGUMENT...``. ``LIFELINE`` is a named pipe; the harness keeps its other end open.
If the harness or its client dies, for whatever reason, this process reads an end of file. Because it is process 1, its
exit also ends every other process of the container. Standard library only, for Python 3.6 and later.
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
    pipe = os.open(lifeline, os.O_RDONLY | os.O_NONBLOCK)
    if _closed(pipe):  # select does not report a pipe that was closed before this process opened it
        os._exit(137)
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(pipe)
        try:
            os.execvp(argv[0], argv)
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
            os._exit(127)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: _kill(child, n))
    while True:
        ready, _, _ = select.select([wake, pipe], [], [])
        if pipe in ready and _closed(pipe):
            _kill(child, signal.SIGKILL)
            os._exit(137)
        if wake in ready:
            os.read(wake, 4096)
            code = _reap(child)
            if code is not None:
                os._exit(code)


def _closed(pipe):
    try:
        return not os.read(pipe, 1)
    except BlockingIOError:
        return False


def _kill(child, number):
    for kill in (os.killpg, os.kill):  # only the child if it has not created its process group yet
        try:
            return kill(child, number)
        except ProcessLookupError:
            pass


def _reap(child):
    """Reap all ended children; return the exit code of the program if it is among them, else None."""
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
