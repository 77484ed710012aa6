"""Jobs of a bare ``sbatch`` loop, and how many requests a Slurm controller got.

Under load, the launch of a batch job can fail; Slurm then puts the job back into the queue, held or not. Such jobs are
released and waited for, and they are counted.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

STUCK = 300.0
"""Seconds without any progress after which the jobs are given up."""
FROM_NODES = ("MESSAGE_NODE_REGISTRATION_STATUS", "MESSAGE_EPILOG_COMPLETE", "REQUEST_COMPLETE_BATCH_SCRIPT")
"""Messages of the nodes, not of users."""


def submit(count: int, program: str, env: Mapping[str, str], folder: Path) -> list[str]:
    """Submit jobs that run a program, one after the other, and return their ids."""
    argv = ["sbatch", "--parsable", "--requeue", "--output=/dev/null", f"--chdir={folder}", f"--wrap={program}"]
    return [
        subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout.strip().partition(";")[0]
        for _ in range(count)
    ]


def wait(ids: list[str], env: Mapping[str, str], interval: float = 0.2) -> int:
    """Wait until every job has completed, and return how often one was put back into the queue.

    Exits with a message if a job failed, or if nothing changed for ``STUCK`` seconds.
    """
    mine, requeued, before, since = set(ids), set[tuple[str, str]](), None, time.monotonic()
    while True:
        listed = squeue(env)
        states = {job: listed[job] for job in mine if job in listed}
        done = {job for job, (state, _, _) in states.items() if state == "COMPLETED"}
        requeued |= {(job, restarts) for job, (_, _, restarts) in states.items() if restarts not in ("", "0")}
        held = [job for job, (state, reason, _) in states.items() if state == "PENDING" and "held" in reason.lower()]
        if held:
            subprocess.run(["scontrol", "release", ",".join(held)], env=env, capture_output=True, check=False)
            requeued |= {(job, "held") for job in held}
        if len(done) == len(mine):
            return len(requeued)
        failed = {job: state for job, (state, _, _) in states.items() if state in ("FAILED", "CANCELLED", "TIMEOUT")}
        if failed:
            sys.exit(f"of {len(mine)} jobs of the bare loop, these did not complete: {failed}")
        if states != before:
            before, since = states, time.monotonic()
        elif time.monotonic() - since > STUCK:
            waiting = sorted({f"{state} {reason}" for state, reason, _ in states.values() if state != "COMPLETED"})
            sys.exit(f"{len(mine) - len(done)} jobs of the bare loop made no progress for {STUCK:g} s: {waiting}")
        time.sleep(interval)


def squeue(env: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    """Return state, reason and number of restarts of every job that the controller remembers."""
    argv = ["squeue", "--noheader", "--states=all", "--Format=JobID:|,State:|,Reason:|,RestartCnt:|"]
    answer = subprocess.run(argv, env=env, check=False, capture_output=True, text=True)
    rows = [line.split("|") for line in answer.stdout.splitlines() if line.count("|") >= 4]
    return {job.strip(): (state.strip(), reason.strip(), restarts.strip()) for job, state, reason, restarts, *_ in rows}


def reset_requests(env: Mapping[str, str]) -> None:
    """Set the counts of the requests of users to zero; needs to be the administrator of the Slurm, as of a testbed."""
    subprocess.run(["sdiag", "--reset"], env=env, check=True, capture_output=True)


def requests(env: Mapping[str, str]) -> dict[str, int]:
    """Return how many requests of users the controller got since the reset, by kind."""
    text = subprocess.run(["sdiag"], env=env, check=True, capture_output=True, text=True).stdout
    return parsed_requests(text)


def parsed_requests(text: str) -> dict[str, int]:
    """Return the requests of users in the output of ``sdiag``, by kind."""
    section = text.partition("by message type")[2].partition("by user")[0]
    counts = {kind: int(count) for kind, count in re.findall(r"^\s*(\w+)\s*\(\s*\d+\) count:(\d+)", section, re.M)}
    return {kind: count for kind, count in counts.items() if kind not in FROM_NODES and "STATS_INFO" not in kind}
