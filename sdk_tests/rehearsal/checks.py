"""What a rehearsal tries beside the plan: jobs over a queue's limits, to be refused, and the site's launchers."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdk_tests.schedulers import CommandFailed, Finished, JobSpec, SchedulerKind
from sdk_tests.schedulers.commands import find
from site_configs.schema import Launcher, Queue, seconds

COMMAND_LIMIT = 30.0
LAUNCH_LIMIT = 90.0
RANKS: Mapping[str, tuple[str, ...]] = {
    "srun": ("--nodes={n}", "--ntasks={n}", "--ntasks-per-node=1"),
    "flux": ("run", "--nodes={n}", "--ntasks={n}"),
    "jsrun": ("--nrs={n}", "--tasks_per_rs=1", "--cpu_per_rs=1", "--rs_per_host=1"),
    "lrun": ("-N", "{n}", "-T", "1"),
    "aprun": ("-n", "{n}", "-N", "1"),
    "pals": ("-n", "{n}", "--ppn", "1"),
    "mpiexec": ("-n", "{n}"),
}
"""How each launcher is told to start one rank on each of ``n`` nodes."""
_RANK = (
    "import os; print('rank', os.environ.get('SLURMD_NODENAME') or os.environ.get('EMULATED_NODENAME') or os.getpid())"
)


@dataclass(frozen=True)
class Check:
    """One thing tried: ``said`` is what the scheduler or the ranks answered."""

    what: str
    passed: bool
    said: str


def limits(kind: SchedulerKind, folder: Path, nodes: int, account: str | None) -> Iterator[Check]:
    """Submit a job just over each limit of each queue; what is accepted is cancelled and counts against the testbed."""
    script = _script(folder / "over.sh", "exit 0")
    for queue in kind.spec.queues:
        for what, size, walltime in over(queue, nodes):
            job = JobSpec("over", script, folder / "over.out", size, walltime, queue.name, account)
            done = _run(kind, kind.submit_argv(job))
            try:
                taken = kind.parse_submit(done)
            except CommandFailed as refused:
                yield Check(f"{queue.name}: {what}", done.exit_code is not None, str(refused))
                continue
            _run(kind, kind.cancel_argv([taken]))
            yield Check(f"{queue.name}: {what}", False, f"accepted as job {taken}")


def over(queue: Queue, nodes: int) -> Iterator[tuple[str, int, float]]:
    """Yield the jobs that a queue must refuse: what is too much, and the job's nodes and walltime."""
    least = float(seconds(queue.min_walltime)) if queue.min_walltime else 60.0
    if queue.max_nodes is not None:
        yield f"{queue.max_nodes + 1} nodes", queue.max_nodes + 1, max(least, 60.0)
    longest = queue.walltime_limit(queue.min_nodes)
    if longest is not None and queue.min_nodes <= nodes:
        yield f"{longest + 60} s on {queue.min_nodes} nodes", queue.min_nodes, longest + 60.0
    if queue.min_nodes > 1:
        yield f"{queue.min_nodes - 1} nodes, too few", queue.min_nodes - 1, max(least, 60.0)


def launchers(kind: SchedulerKind, folder: Path, nodes: int, account: str | None) -> Iterator[Check]:
    """Start a rank on each node of a job with every launcher of the site and the flags its file names."""
    for launcher in kind.spec.launchers:
        if find(launcher.name, kind.env) is None:
            yield Check(launcher.name, False, f"{launcher.name} is not on PATH and has no stand-in")
            continue
        yield _launched(kind, launcher, folder, nodes, account)


def launch(launcher: Launcher, count: int) -> list[str]:
    """Return how a launcher of the site starts one rank on each of ``count`` nodes, before the program."""
    told = launcher.takes.value
    own = [word.format(n=count) for word in RANKS.get(told, RANKS["mpiexec"])]
    flags = [*own[:1], *launcher.flags, *own[1:]] if told == "flux" else [*launcher.flags, *own]
    return [launcher.name, *flags]


def _launched(kind: SchedulerKind, launcher: Launcher, folder: Path, nodes: int, account: str | None) -> Check:
    name = str(kind.view(nodes)["queue_name"])
    queue = kind.spec.queue(name)
    count = min(nodes, queue.max_nodes or nodes) if queue is not None else nodes
    line = shlex.join([*launch(launcher, count), sys.executable, "-c", _RANK])
    output = folder / f"{Path(launcher.name).name}.out"
    script = _script(folder / f"{Path(launcher.name).name}.sh", f"exec {line}")
    job = JobSpec("launch", script, output, count, kind.walltime(name, count, 120.0), name, account)
    try:
        taken = kind.parse_submit(_run(kind, kind.submit_argv(job)))
    except CommandFailed as refused:
        return Check(line, False, f"the job was refused: {refused}")
    deadline = time.monotonic() + LAUNCH_LIMIT
    while time.monotonic() < deadline:
        try:
            status = kind.parse_status(_run(kind, kind.status_argv([taken]))).get(taken)
        except CommandFailed:
            status = None
        if status is None or status.state.ended:
            break
        time.sleep(kind.spec.status_interval)
    else:
        _run(kind, kind.cancel_argv([taken]))
        return Check(line, False, f"job {taken} did not end within {LAUNCH_LIMIT:g} s")
    text = output.read_text(errors="replace") if output.exists() else ""
    ranks = [row.split()[1] for row in text.splitlines() if row.startswith("rank ")]
    where = ", ".join(ranks) or text.strip()[-200:] or "nothing was printed"
    return Check(line, len(ranks) == len(set(ranks)) == count, where)


def _script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def _run(kind: SchedulerKind, argv: list[str]) -> Finished:
    try:
        done = subprocess.run(
            argv, env=kind.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return Finished(tuple(argv), None, "", "")
    return Finished(
        tuple(argv), done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
