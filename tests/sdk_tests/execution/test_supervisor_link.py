from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdk_tests.execution.messages import LaunchRequest
from sdk_tests.execution.supervisor_link import TOGETHER, Link

COUNT = TOGETHER + 3000


def request(number: int) -> LaunchRequest:
    return LaunchRequest(
        case_id=f"a/{number}@local",
        attempt=1,
        argv=["true"],
        env="e",
        scratch="/s",
        scheduler="local",
        where="login",
        nodes=1,
        cores=1,
        walltime=30.0,
    )


def receive_for(link: Link, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        link.receive(1.0)


def test_a_supervisor_that_reads_slowly_holds_nobody_up_and_gets_every_request(tmp_path: Path) -> None:
    taken = 0

    def requests() -> Iterator[LaunchRequest]:
        nonlocal taken
        for number in range(COUNT):
            taken += 1
            yield request(number)

    link = Link(tmp_path / "log")
    try:
        os.kill(link.pid, signal.SIGSTOP)
        sender = threading.Thread(target=link.send_together, args=(requests(),), daemon=True)
        sender.start()
        sender.join(60)
        assert not sender.is_alive(), "the harness waits for the supervisor and cannot receive results"
        assert link.receive(0.0) == []
        assert taken < COUNT
        os.kill(link.pid, signal.SIGCONT)
        deadline = time.monotonic() + 60
        while taken < COUNT and time.monotonic() < deadline:
            link.receive(1.0)
        assert taken == COUNT
    finally:
        os.kill(link.pid, signal.SIGCONT)
        link.close()


def test_an_error_in_preparing_a_request_that_is_sent_later_is_not_taken_for_the_supervisors_end(
    tmp_path: Path,
) -> None:
    def requests() -> Iterator[LaunchRequest]:
        yield from map(request, range(COUNT))
        raise OSError(28, "No space left on device")

    link = Link(tmp_path / "log")
    try:
        os.kill(link.pid, signal.SIGSTOP)
        link.send_together(requests())
        os.kill(link.pid, signal.SIGCONT)
        with pytest.raises(OSError, match="No space left"):
            receive_for(link, 60.0)
    finally:
        os.kill(link.pid, signal.SIGCONT)
        link.close()
