"""A scheduler whose control case failed: nothing more is started on it, and what runs on it is cut short."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from sdk_tests.execution.messages import AttemptFinished, GiveUp, LaunchRequest, SchedulerSetup, Setup
from sdk_tests.execution.process_table import ProcessEnd
from sdk_tests.execution.supervisor import GIVE_UP_LIMIT, Supervisor
from site_configs.schema import SchedulerSpec

REASON = "the control case control/hello@local failed: exit 1"


class Table:
    """A process table whose children run until they are cancelled."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.running: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.running)

    def spawn(self, key: str, _argv: Sequence[str], *rest: Any, mark: str = "") -> None:
        self.running[key] = rest[3]

    def cancel(self, key: str, ending: str = "cancelled") -> bool:
        self.running.pop(key)(ProcessEnd(key, ending, None, 15, b"", 0, b"", 0.0, 1.0))
        return True

    def poll(self, _timeout: float) -> None:
        pass


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[Supervisor, Table, list[Any]]]:
    read, write = os.pipe()
    environments: dict[str, dict[str, str]] = {"deployment": {}}
    names = ("local", "other")
    setup = Setup(
        folder=str(tmp_path),
        envs=environments,
        changes={},
        schedulers={name: SchedulerSetup(spec=SchedulerSpec(kind="local"), env={}) for name in names},
        local_cores=2,
        login_slots=2,
        machine_cores=2,
        python="/python",
        mark="run",
        job_token="token",
    )
    table: Any = Table()
    supervisor, sent = Supervisor(setup, table, write), list[Any]()
    with patch.object(supervisor, "send", sent.append):
        yield supervisor, table, sent
    os.close(read)
    os.close(write)


def request(name: str, scheduler: str, scratch: Path) -> LaunchRequest:
    return LaunchRequest(
        case_id=f"a/{name}@{scheduler}", attempt=1, argv=["program"], env="deployment", scratch=str(scratch),
        scheduler=scheduler, where="login", limit=3720.0,
    )  # fmt: skip


def endings(sent: list[Any]) -> dict[str, tuple[str, str]]:
    results = [each.result for each in sent if isinstance(each, AttemptFinished)]
    return {result.case_id: (result.ending, result.detail) for result in results}


def test_after_a_failed_control_waiting_cases_end_at_once_and_running_ones_within_the_limit(
    desk: tuple[Supervisor, Table, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, table, sent = desk
    names = ("first", "second", "waiting")
    supervisor.take([request(name, "local", tmp_path) for name in names])
    supervisor.step()
    assert sorted(table.running) == ["a/first@local#1", "a/second@local#1"]
    supervisor.give_up(GiveUp(scheduler="local", reason=REASON))
    supervisor.step()
    assert endings(sent) == {"a/waiting@local": ("control-failed", REASON)}
    supervisor.take([request("late", "local", tmp_path)])
    supervisor.step()
    assert endings(sent)["a/late@local"] == ("control-failed", REASON)
    assert len(table.running) == 2, "what runs may still end by itself"
    clock = time.monotonic() + GIVE_UP_LIMIT + 1
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    supervisor.step()
    assert not table.running
    assert {ending for ending, _ in endings(sent).values()} == {"control-failed"}
    assert len(endings(sent)) == 4


def test_cases_on_other_schedulers_are_not_affected(
    desk: tuple[Supervisor, Table, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, table, sent = desk
    supervisor.take([request("one", "local", tmp_path), request("two", "other", tmp_path)])
    supervisor.step()
    supervisor.give_up(GiveUp(scheduler="local", reason=REASON))
    clock = time.monotonic() + GIVE_UP_LIMIT + 1
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    supervisor.step()
    assert endings(sent).keys() == {"a/one@local"}
    assert list(table.running) == ["a/two@other#1"]
