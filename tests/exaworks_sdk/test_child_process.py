"""Child processes end with the block that uses them, whenever a signal arrives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exaworks_sdk import child_process
from exaworks_sdk.child_process import running
from tests.waiting import wait_until

SLEEPS = ["sh", "-c", "sleep 600 & sleep 600"]


def _group(number: int) -> list[int]:
    """Return the processes of a process group, without those that have ended and are not waited for."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = entry.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == number and state != "Z":
            found.append(int(entry.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_arrives_while_the_program_is_started_ends_it(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    started: list[int] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            started.append(self.pid)
            os.kill(os.getpid(), number)

    def handler(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(child_process.subprocess, "Popen", Interrupted)
    before = signal.signal(number, handler)
    try:
        with pytest.raises(KeyboardInterrupt), running(SLEEPS):
            pytest.fail("the block began")
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)
    assert len(started) == 1
    wait_until(lambda: _group(started[0]) == [])


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_a_block_that_raises_ends_the_whole_group(error: type[BaseException]) -> None:
    with pytest.raises(error), running(SLEEPS) as process:
        raise error
    wait_until(lambda: _group(process.pid) == [])


def test_a_program_that_ignores_the_signal_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "GRACE", 0.1)
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); signal.pause()"
    context = running([sys.executable, "-c", code], ended_by=signal.SIGINT, stdout=subprocess.PIPE)
    process = context.__enter__()
    assert process.stdout is not None
    process.stdout.readline()  # from now on it ignores the signal
    assert context.__exit__(RuntimeError, RuntimeError(), None) is False
    assert process.returncode == -signal.SIGKILL


def test_a_program_that_ends_by_itself_keeps_its_exit_code() -> None:
    with running(["sh", "-c", "exit 3"]) as process:
        assert process.wait() == 3
