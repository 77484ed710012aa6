"""The bare loop waits for jobs that Slurm puts back into the queue, and counts the requests of users alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import sbatch

SDIAG = """*******************************************************
sdiag output at Sun Nov 29 10:00:00 2026 (1795946400)
Server thread count:  3

Remote Procedure Call statistics by message type
\tREQUEST_SUBMIT_BATCH_JOB                ( 4003) count:100    ave_time:2040   total_time:204041
\tMESSAGE_NODE_REGISTRATION_STATUS        ( 1002) count:64     ave_time:331    total_time:21216
\tREQUEST_COMPLETE_BATCH_SCRIPT           ( 5018) count:100    ave_time:211    total_time:21100
\tREQUEST_JOB_INFO                        ( 2003) count:12     ave_time:400    total_time:4800
\tREQUEST_STATS_INFO                      ( 2035) count:2      ave_time:40     total_time:80

Remote Procedure Call statistics by user
\troot            (       0) count:278    ave_time:1040   total_time:251237

Pending RPC statistics
\tNo pending RPCs
"""


def test_messages_of_nodes_and_of_sdiag_itself_are_not_requests_of_users() -> None:
    assert sbatch.parsed_requests(SDIAG) == {"REQUEST_SUBMIT_BATCH_JOB": 100, "REQUEST_JOB_INFO": 12}


def answering(folder: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str]) -> Path:
    """Put a ``squeue`` on PATH that gives these answers in turn, the last one again and again; return a log."""
    log = folder / "log"
    for number, answer in enumerate(answers, 1):
        (folder / f"answer{number}").write_text(answer)
    (folder / "squeue").write_text(
        f"#!/bin/sh\ncd {folder}\nn=$(($(cat turn 2>/dev/null || echo 0) + 1))\n"
        f"[ $n -gt {len(answers)} ] && n={len(answers)}\necho $n > turn\ncat answer$n\n"
    )
    (folder / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    for name in ("squeue", "scontrol"):
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


def test_a_requeued_job_is_waited_for_and_a_held_one_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        "1|COMPLETED|None|0|\n2|PENDING|launch failed requeued held|1|\n3|RUNNING|None|0|\n",
        "1|COMPLETED|None|0|\n2|PENDING|BeginTime|1|\n3|COMPLETED|None|0|\n",
        "1|COMPLETED|None|0|\n2|COMPLETED|None|1|\n3|COMPLETED|None|0|\n9|PENDING|None|0|\n",
    ]
    log = answering(tmp_path, monkeypatch, answers)
    assert sbatch.wait(["1", "2", "3"], os.environ, interval=0.01) == 2  # restarted once, and held
    assert log.read_text() == "release 2\n"


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "TIMEOUT"])
def test_a_job_that_failed_ends_the_benchmark_with_its_id_and_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    answering(tmp_path, monkeypatch, [f"1|COMPLETED|None|0|\n2|{state}|NonZeroExitCode|0|\n"])
    with pytest.raises(SystemExit, match=f"'2': '{state}'"):
        sbatch.wait(["1", "2"], os.environ, interval=0.01)


def test_jobs_without_progress_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(tmp_path, monkeypatch, ["1|COMPLETED|None|0|\n2|PENDING|Resources|0|\n"])
    monkeypatch.setattr(sbatch, "STUCK", 0.3)
    with pytest.raises(SystemExit, match="PENDING Resources"):
        sbatch.wait(["1", "2"], os.environ, interval=0.01)
