"""Fixtures inside an allocation: the agent starts one for its cases, and none outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sdk_tests.execution.fixtures import Fixtures
from sdk_tests.execution.job_scripts import AGENT
from sdk_tests.execution.process_table import ProcessTable
from sdk_tests.plan.probe import PAYLOADS
from tests.waiting import wait_until

PROGRAM = """
import contextlib, os, pathlib
@contextlib.contextmanager
def fixture(request):
    STARTING
    yield
    pathlib.Path(request["scratch"], "ended").touch()
"""
PAYLOAD = """
import json, os, sys
BODY
print(json.dumps({"pid": os.getpid()}))
"""


def launch(folder: Path, starting: str = "", **changed: Any) -> dict[str, Any]:
    """Return how a fixture is started in ``folder``."""
    (folder / "pool.py").write_text(PROGRAM.replace("STARTING", starting or "pass"))
    request = json.dumps({"program": str(folder / "pool.py")})
    (folder / "fx").mkdir(exist_ok=True)
    return {
        "name": "fixture pool@here",
        "argv": [sys.executable, str(PAYLOADS / "_fixture.py"), request],
        "enter": [sys.executable, str(PAYLOADS / "_guest.py")],
        "scratch": str(folder / "fx"),
        "start": 30.0,
        "walltime": 300.0,
        "limit": 300.0,
        "jobs": 0,
        "cores": 1,
        "mark": f"run-{os.getpid()}",
        **changed,
    }


def case(folder: Path, name: str, fixture: dict[str, Any] | None, body: str = "") -> dict[str, Any]:
    scratch = folder / name
    scratch.mkdir()
    (folder / f"{name}.py").write_text(PAYLOAD.replace("BODY", body))
    return {
        "key": f"a/{name}@here#1",
        "argv": [sys.executable, str(folder / f"{name}.py"), "{}"],
        "environment": {"set": {}, "unset": []},
        "scratch": str(scratch),
        "walltime": 20.0,
        "cores": 1,
        "mark": f"run-{os.getpid()}/a/{name}@here#1",
        "one_machine": True,
        "fixture": fixture,
    }


def agent(folder: Path, *cases: dict[str, Any], slots: int = 2) -> subprocess.Popen[bytes]:
    (folder / "requests.json").write_text(json.dumps({"slots": slots, "cases": cases, "inner": None}))
    return subprocess.Popen([sys.executable, "-I", str(AGENT), str(folder / "requests.json")], cwd="/")


def result(folder: Path, index: int) -> dict[str, Any]:
    ended: dict[str, Any] = json.loads((folder / f"{index}.json").read_text())
    return ended


def answer(folder: Path, index: int) -> dict[str, Any]:
    given: dict[str, Any] = json.loads((folder / f"{index}.out").read_text())
    return given


def test_the_cases_of_an_allocation_share_a_fixture_that_ends_before_the_agent_does(tmp_path: Path) -> None:
    pool = launch(tmp_path)
    cases = [case(tmp_path, name, pool) for name in ("one", "two")] + [case(tmp_path, "alone", None)]
    assert agent(tmp_path, *cases, slots=1).wait(timeout=60) == 0
    assert [result(tmp_path, index)["exit_code"] for index in range(3)] == [0, 0, 0]
    assert answer(tmp_path, 0) == answer(tmp_path, 1) != answer(tmp_path, 2)
    assert [result(tmp_path, index)["fixture"] for index in range(3)] == [pool["name"], pool["name"], ""]
    assert result(tmp_path, 0)["waited"], "its start says nothing about the launch of the job"
    assert (tmp_path / "fx/1/ended").exists(), "the fixture was killed, although nothing was in a hurry"


def test_the_cases_of_a_fixture_that_does_not_start_in_an_allocation_have_its_end(tmp_path: Path) -> None:
    pool = launch(tmp_path, "raise RuntimeError('no pool today')")
    cases = [case(tmp_path, name, pool) for name in ("one", "two")] + [case(tmp_path, "alone", None)]
    assert agent(tmp_path, *cases).wait(timeout=60) == 0
    for index in range(2):
        ended = result(tmp_path, index)
        assert (ended["ending"], ended["exit_code"], ended["fixture_failed"]) == ("exited", 1, True)
        assert "no pool today" in (tmp_path / f"{index}.err").read_text()
    assert result(tmp_path, 2)["exit_code"] == 0
    assert sorted(path.name for path in (tmp_path / "fx").iterdir()) == ["1"], "it was started again"


def test_a_case_that_breaks_a_fixture_in_an_allocation_leaves_a_new_one_to_the_next(tmp_path: Path) -> None:
    pool = launch(tmp_path)
    cases = [case(tmp_path, "one", pool), case(tmp_path, "bad", pool, "os._exit(9)"), case(tmp_path, "two", pool)]
    assert agent(tmp_path, *cases).wait(timeout=60) == 0
    assert [result(tmp_path, index)["exit_code"] for index in range(3)] == [0, 1, 0]
    assert answer(tmp_path, 0) != answer(tmp_path, 2)
    assert not any(result(tmp_path, index)["fixture_failed"] for index in range(3))


def test_an_allocation_that_ends_takes_its_fixture_along(tmp_path: Path) -> None:
    pool = launch(tmp_path, "pathlib.Path(request['scratch'], 'pid').write_text(str(os.getpid()))")
    cases = [case(tmp_path, name, pool, "import time; time.sleep(600)") for name in ("one", "two")]
    process = agent(tmp_path, *cases)
    wait_until(lambda: (tmp_path / "0.started").exists())
    pid = (tmp_path / "fx/1/pid").read_text()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    assert not Path(f"/proc/{pid}").exists()
    assert result(tmp_path, 0)["ending"] == "terminated"


@pytest.fixture
def table() -> ProcessTable:
    return ProcessTable()


def started(fixtures: Fixtures, table: ProcessTable, given: dict[str, Any]) -> None:
    """Start a fixture and wait until it is ready."""
    key, folder = fixtures.prepare(given["name"], given["scratch"])
    seconds = (given["start"], given["walltime"], given["limit"])
    fixtures.start(given["name"], key, folder, given["argv"], os.environ, seconds=seconds, mark="run/x")
    wait_until(lambda: turned(fixtures, table, {given["name"]}) and fixtures.admits(given["name"], 0.0))


def turned(fixtures: Fixtures, table: ProcessTable, needed: set[str]) -> bool:
    table.poll(0.05)
    fixtures.tick(needed)
    return True


def test_a_case_that_would_not_fit_into_the_time_of_a_fixture_gets_a_new_one(
    table: ProcessTable, tmp_path: Path
) -> None:
    fixtures, given = Fixtures(table), launch(tmp_path, start=30.0, walltime=40.0)
    name = given["name"]
    started(fixtures, table, given)
    assert fixtures.admits(name, 100.0), "a new fixture has no more time than this one"
    fixtures.enter(name)
    assert not fixtures.admits(name, 1.0), "another case uses it"
    fixtures.leave(name, True)
    assert not fixtures.admits(name, 11.0)
    wait_until(lambda: turned(fixtures, table, {name}) and name not in fixtures)
    assert fixtures.failed == {}
    assert (tmp_path / "fx/1/ended").exists()


def test_a_fixture_that_no_case_needs_any_more_ends(table: ProcessTable, tmp_path: Path) -> None:
    fixtures, given = Fixtures(table), launch(tmp_path)
    started(fixtures, table, given)
    wait_until(lambda: turned(fixtures, table, set()) and given["name"] not in fixtures)
    assert fixtures.failed == {}, "it did not serve a case, but that was not its fault"


def test_a_guest_without_a_fixture_fails_with_the_reason(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PAYLOADS / "_guest.py"), str(tmp_path / "none"), "python", "payload.py", "{}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "the fixture cannot be used" in done.stderr
