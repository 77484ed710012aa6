"""The harness's end of the pipe to its supervisor."""

from __future__ import annotations

import contextlib
import itertools
import os
import selectors
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from sdk_tests.errors import RunError
from sdk_tests.execution.messages import (
    Hold,
    LaunchRequest,
    Message,
    Release,
    Stop,
    SupervisorStopped,
    line,
    message,
)

TOGETHER = 500
"""Requests that are ordered before the first of them is started."""
CLOSE_LIMIT = 60.0
"""Seconds in which the supervisor must have stopped everything, or it is killed."""


class Link:
    """Starts the supervisor, sends it instructions and receives its messages. Closing the pipe ends everything."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "sdk_tests.execution.supervisor"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        os.set_blocking(self._out.fileno(), False)
        os.set_blocking(self._in.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self._buffer = bytearray()
        self._outgoing = bytearray()
        self._later: Iterator[LaunchRequest] = iter(())
        """Requests that are sent when the pipe has room for them: results that arrive meanwhile must not wait."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def watch(self, fd: int) -> None:
        """Let ``receive`` return early when ``fd`` becomes readable (the wake-up of a signal)."""
        self._selector.register(fd, selectors.EVENT_READ)

    def send(self, *values: msgspec.Struct) -> None:
        """Send instructions; what the pipe does not take now is sent while messages are received.

        Raises:
            RunError: the supervisor is gone.
        """
        for value in values:
            self._outgoing += line(value)
        error = self._write()
        if error is not None:
            raise RunError(f"the supervisor of this run is gone ({error}); its log is {self._log}") from error

    def _write(self) -> OSError | None:
        """Write what the pipe takes, and watch it if there is more; return the error of a pipe without a reader."""
        gone = None
        try:
            while self._outgoing or self._refill():
                try:
                    del self._outgoing[: os.write(self._in.fileno(), self._outgoing[: 1 << 16])]
                except BlockingIOError:
                    break
                except OSError as error:
                    gone, self._later = error, iter(())
                    self._outgoing.clear()
        finally:
            self._watch_input()
        return gone

    def _watch_input(self) -> None:
        watched = self._in in self._selector.get_map()
        if self._outgoing and not watched:
            self._selector.register(self._in, selectors.EVENT_WRITE)
        elif not self._outgoing and watched:
            self._selector.unregister(self._in)

    def _refill(self) -> bool:
        """Take the next of the requests that wait; return whether there was one."""
        request = next(self._later, None)
        if request is not None:
            self._outgoing += line(request)
        return request is not None

    def send_together(self, requests: Iterable[LaunchRequest]) -> None:
        """Send requests that compete for the same places, so that the longest of them are started first.

        Of very many, the rest is ordered as it arrives: neither the machine nor a result waits until all are written.

        Raises:
            RunError: the supervisor is gone.
        """
        remaining = iter(requests)
        first = list(itertools.islice(remaining, TOGETHER))
        if first:
            self.send(Hold(), *first, Release())
        self._later = itertools.chain(self._later, remaining)
        self.send()

    def receive(self, timeout: float) -> list[Message]:
        """Return the messages that arrived within ``timeout`` seconds, perhaps none.

        Raises:
            RunError: the supervisor ended unexpectedly; the attempts that still ran have no result.
        """
        messages: list[Message] = []
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._in:
                self._write()  # if it is gone, the end of its output says so, after its last messages
                continue
            if key.fileobj is not self._out:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 4096)
                continue
            try:
                chunk = os.read(self._out.fileno(), 1 << 20)
            except BlockingIOError:
                continue
            if not chunk:
                self._selector.unregister(self._out)
                if not (messages and isinstance(messages[-1], SupervisorStopped)):
                    code = self._process.wait()
                    raise RunError(f"the supervisor of this run ended with {code}; its log is {self._log}")
                break
            self._buffer += chunk
            *lines, rest = self._buffer.split(b"\n")
            self._buffer = bytearray(rest)
            messages += [message(bytes(text)) for text in lines]
        return messages

    def stop(self) -> None:
        """Ask it to cancel everything and exit; results of attempts that end meanwhile still arrive."""
        self._later = iter(())
        with contextlib.suppress(RunError):
            self.send(Stop())

    def close(self) -> list[Message]:
        """Close its input, upon which it kills every process group and cancels every job; return its last messages."""
        self._selector.close()
        try:
            rest, _ = self._process.communicate(timeout=CLOSE_LIMIT)
        except subprocess.TimeoutExpired as late:
            rest = late.output or b""
            self._process.kill()
            self._process.wait()
            self._out.close()
        lines = (self._buffer + rest).split(b"\n")[:-1]
        return [message(bytes(text)) for text in lines]
