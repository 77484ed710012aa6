"""The agent inside an allocation, started as the script of a job starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdk_tests.execution.agent import STOP_SIGNALS
from sdk_tests.execution.job_scripts import AGENT
from sdk_tests.execution.marked_processes import kill_marked

PAYLOAD = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(300)"


def start(folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start the agent with one case, wait until its payload runs, and return the agent and the payload's id."""
    case = {
        "key": "a/b@c#1",
        "argv": [sys.executable, "-c", PAYLOAD],
        "environment": {"set": {}, "unset": []},
        "scratch": str(folder),
        "walltime": 200.0,
        "cores": 1,
        "mark": f"run-{os.getpid()}/a/b@c#1",
        "one_machine": True,
    }
    (folder / "requests.json").write_text(json.dumps({"slots": 1, "cases": [case], "inner": None}))
    agent = subprocess.Popen([sys.executable, "-I", str(AGENT), str(folder / "requests.json")], cwd="/")
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert agent.poll() is None, "the agent has ended"
        time.sleep(0.02)
    return agent, int((folder / "pid").read_text())


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_a_signal_with_which_a_scheduler_ends_a_job_ends_the_payloads_of_its_cases(number: int, tmp_path: Path) -> None:
    agent, payload = start(tmp_path)
    agent.send_signal(number)
    assert agent.wait(timeout=30) == 0
    assert not runs(payload)
    assert json.loads((tmp_path / "0.json").read_text())["ending"] == "terminated"


def test_a_payload_that_a_scheduler_ends_before_it_tells_the_agent_ends_with_the_job(tmp_path: Path) -> None:
    agent, payload = start(tmp_path)
    os.kill(payload, signal.SIGTERM)
    while runs(payload):
        time.sleep(0.02)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(timeout=30) == 0
    assert json.loads((tmp_path / "0.json").read_text())["ending"] == "terminated"


def test_a_payload_that_is_killed_while_its_job_goes_on_has_failed(tmp_path: Path) -> None:
    agent, payload = start(tmp_path)
    os.kill(payload, signal.SIGTERM)
    assert agent.wait(timeout=30) == 0
    end = json.loads((tmp_path / "0.json").read_text())
    assert (end["ending"], end["signal"]) == ("exited", signal.SIGTERM)


def test_a_flux_that_cancels_a_job_sends_a_signal_that_the_agent_handles() -> None:
    """``abort_signal`` in src/broker/runat.c of flux-core; without a handler the agent would leave its payloads."""
    assert signal.SIGHUP in STOP_SIGNALS


def test_the_payload_of_an_agent_that_was_killed_is_found_by_its_mark_and_ended(tmp_path: Path) -> None:
    agent, payload = start(tmp_path)
    agent.kill()
    agent.wait()
    assert runs(payload)
    assert kill_marked(f"run-{os.getpid()}/a/b@c#1", str(tmp_path)) != []
    assert not runs(payload)
