"""The checks of a rehearsal besides the plan: jobs over a limit must be refused, and the site's launchers must work."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdk_tests.schedulers import CommandFailed, CommandResult, JobSpec, SchedulerKind
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
"""The options with which each launcher starts one rank on each of ``n`` nodes."""
_RANK = (
    "import os; node = os.environ.get('SLURMD_NODENAME') or os.environ.get('EMULATED_NODENAME') or os.getpid(); "
    "os.write(1, f'rank {node}\\n'.encode())"
)
"""Writes its line at once: the parts of ``print`` can stand between those of another rank."""


@dataclass(frozen=True)
class Check:
    """One check and its result. ``answer`` is the answer of the scheduler, or the nodes on which the ranks ran."""

    what: str
    passed: bool
    answer: str


def limits(kind: SchedulerKind, folder: Path, nodes: int, account: str | None) -> Iterator[Check]:
    """Submit a job just over each limit of each queue. An accepted job is cancelled and fails the check."""
    script = _script(folder / "over.sh", "exit 0")
    for queue in kind.spec.queues:
        for what, size, walltime in jobs_over_limits(queue, nodes):
            job = JobSpec("over", script, folder / "over.out", size, walltime, queue.name, account)
            done = _run(kind, kind.submit_argv(job))
            try:
                job_id = kind.parse_submit(done)
            except CommandFailed as refused:
                yield Check(f"{queue.name}: {what}", done.exit_code is not None, str(refused))
                continue
            _run(kind, kind.cancel_argv([job_id]))
            yield Check(f"{queue.name}: {what}", False, f"accepted as job {job_id}")


def jobs_over_limits(queue: Queue, nodes: int) -> Iterator[tuple[str, int, float]]:
    """Yield the jobs that a queue must refuse: a description, the number of nodes, and the walltime in seconds."""
    least = float(seconds(queue.min_walltime)) if queue.min_walltime else 60.0
    if queue.max_nodes is not None:
        yield f"{queue.max_nodes + 1} nodes", queue.max_nodes + 1, max(least, 60.0)
    longest = queue.walltime_limit(queue.min_nodes)
    if longest is not None and queue.min_nodes <= nodes:
        yield f"{longest + 60} s on {queue.min_nodes} nodes", queue.min_nodes, longest + 60.0
    if queue.min_nodes > 1:
        yield f"{queue.min_nodes - 1} nodes, too few", queue.min_nodes - 1, max(least, 60.0)


def launchers(kind: SchedulerKind, folder: Path, nodes: int, account: str | None) -> Iterator[Check]:
    """Start one rank on each node of a job, with every launcher of the site and the flags in the site file."""
    for launcher in kind.spec.launchers:
        if find(launcher.name, kind.env) is None:
            yield Check(launcher.name, False, f"{launcher.name} is not on PATH and has no stand-in on this testbed")
            continue
        yield _check_launcher(kind, launcher, folder, nodes, account)


def launch_argv(launcher: Launcher, count: int) -> list[str]:
    """Return the command before the program with which a launcher starts one rank on each of ``count`` nodes."""
    launcher_kind = launcher.option_kind.value
    own = [option.format(n=count) for option in RANKS.get(launcher_kind, RANKS["mpiexec"])]
    flags = [*own[:1], *launcher.flags, *own[1:]] if launcher_kind == "flux" else [*launcher.flags, *own]
    return [launcher.name, *flags]


def _check_launcher(kind: SchedulerKind, launcher: Launcher, folder: Path, nodes: int, account: str | None) -> Check:
    name = str(kind.view(nodes)["queue_name"])
    queue = kind.spec.queue(name)
    count = min(nodes, queue.max_nodes or nodes) if queue is not None else nodes
    line = shlex.join([*launch_argv(launcher, count), sys.executable, "-c", _RANK])
    output = folder / f"{Path(launcher.name).name}.out"
    script = _script(folder / f"{Path(launcher.name).name}.sh", f"exec {line}")
    job = JobSpec("launch", script, output, count, kind.walltime(name, count, 120.0), name, account)
    try:
        job_id = kind.parse_submit(_run(kind, kind.submit_argv(job)))
    except CommandFailed as refused:
        return Check(line, False, f"the scheduler refused the job: {refused}")
    deadline = time.monotonic() + LAUNCH_LIMIT
    while time.monotonic() < deadline:
        try:
            status = kind.parse_status(_run(kind, kind.status_argv([job_id]))).get(job_id)
        except CommandFailed:
            status = None
        if status is None or status.state.ended:
            break
        time.sleep(kind.spec.status_interval)
    else:
        _run(kind, kind.cancel_argv([job_id]))
        return Check(line, False, f"job {job_id} did not end within {LAUNCH_LIMIT:g} s")
    late = time.monotonic() + kind.spec.result_grace  # LSF writes the file some time after the end of the job
    while not output.exists() and time.monotonic() < late:
        time.sleep(0.05)
    text = output.read_text(errors="replace") if output.exists() else ""
    ranks = [row.split()[1] for row in text.splitlines() if row.startswith("rank ")]
    answer = ", ".join(ranks) or text.strip()[-200:] or "nothing was printed"
    return Check(line, len(ranks) == len(set(ranks)) == count, answer)


def _script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def _run(kind: SchedulerKind, argv: list[str]) -> CommandResult:
    try:
        done = subprocess.run(
            argv, env=kind.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return CommandResult(tuple(argv), None, "", "")
    return CommandResult(
        tuple(argv), done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
