"""Run one stage as a batch job of the machine, from a pod beside it, and wait for its end.

A pod has the commands ``sbatch`` and ``squeue`` of the machine and shares a file system with it. The batch job runs
``exaworks ci stage``, whose results folder is the only thing that is believed afterwards.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ci.errors import StageError
from ci.limits import NODES, main_scheduler, scheduler_parameters
from ci.phases import Phase, phases
from ci.results import Stage, read_stage
from ci.stage import StageRequest
from ci.system import environment_lines, exaworks, proxy
from site_configs.schema import SchedulerSpec, System

MACHINE_HOME = "EXAWORKS_MACHINE_HOME"
"""The variable with the folder of the machine's runs; a pod's own EXAWORKS_HOME is a folder in it."""
PASSED = re.compile(r"EXAWORKS_\w+|CI_PIPELINE_SOURCE|CI_PIPELINE_URL|CI_COMMIT_SHA|CI_JOB_URL")
WITHHELD = re.compile(r"TOKEN|SECRET|PASSWORD|JWT|^EXAWORKS_HOME$|^EXAWORKS_MACHINE_HOME$|^EXAWORKS$|^EXAWORKS_PYTHON$")
"""Variables of a pod that do not enter a batch script: secrets, and what is different on the machine."""

Echo = Callable[[str], None]


@dataclass(frozen=True)
class Submission:
    """A stage to run as a batch job of ``system``; ``arguments`` are those of ``exaworks ci stage``."""

    request: StageRequest
    system: System
    arguments: tuple[str, ...]
    folder: Path


def submit(submission: Submission, environ: Mapping[str, str], echo: Echo) -> int:
    """Submit the batch job, wait for it, and return the exit code of the stage; 128 plus the signal that stopped it.

    Raises:
        StageError: the scheduler refused the job, or a variable that it needs is not set, or the results folder is
            not where the machine can see it.
    """
    folder, name = submission.folder, submission.request.stage
    script, log = folder / f"exaworks-{name}.sh", folder / f"exaworks-{name}.log"
    before = read_stage(submission.request.folder)
    options = batch_options(submission, environ)
    try:
        script.write_text(batch_script(submission, environ))
        script.chmod(0o700)
        log.unlink(missing_ok=True)
    except OSError as error:
        raise StageError(f"{script}: cannot be written: {error.strerror or error}") from error
    argv = ["sbatch", "--parsable", f"--job-name=exaworks-{name}", f"--output={log}", f"--chdir={folder}", *options]
    with _signals() as stopped:
        job = _submitted([*argv, str(script)], environ, echo)
        _wait(job, _scheduler(submission.system), environ, stopped, echo)
        if stopped:
            _cancel(job, environ, echo)
    stage = _result(submission, before, 0 if stopped else _scheduler(submission.system).result_grace)
    if log.is_file():
        echo(log.read_text(encoding="utf-8", errors="replace").rstrip())
    if stopped:
        return 128 + stopped.number
    if stage is None:
        raise StageError(
            f"batch job {job} of {name} left no results in {submission.request.folder}. Its output is in {log}. If "
            f"there is none, the machine does not see {folder}: put builds_dir on a file system that it shares."
        )
    return stage.exit_code if stage.exit_code is not None else 1


def batch_script(submission: Submission, environ: Mapping[str, str]) -> str:
    """Return the batch script: the variables of the pipeline, and the stage. It contains no secret."""
    system = submission.system
    account = _account(system)
    kept = {name: text for name, text in environ.items() if PASSED.fullmatch(name) and not WITHHELD.search(name)}
    if account in environ:
        kept[account] = environ[account]
    kept |= proxy(system, batch=True)
    home = environ.get(MACHINE_HOME)
    lines = environment_lines(system)
    lines = [f"export EXAWORKS_HOME={shlex.quote(home)}", *lines[1:]] if home else lines
    return "\n".join(
        [
            "#!/bin/bash -l",
            *(f"export {name}={shlex.quote(text)}" for name, text in sorted(kept.items())),
            "umask 077",
            *lines,
            f"export EXAWORKS={shlex.quote(environ['EXAWORKS'])}" if environ.get("EXAWORKS") else "",
            f"exec {exaworks('ci', 'stage', *submission.arguments)}",
            "",
        ]
    )


def batch_options(submission: Submission, environ: Mapping[str, str]) -> list[str]:
    """Return the options of ``sbatch``, with the account from the environment.

    Raises:
        StageError: the variable with the account is not set, or the scheduler of the system has no ``sbatch``.
    """
    system, phase = submission.system, _phase(submission.system, submission.request.stage)
    _scheduler(system)
    tier = phase.stage if phase is not None and phase.stage in NODES else "control"
    run_time = None if phase is None or phase.tests else phase.times.script
    text = scheduler_parameters(system, tier, run_time) or ""
    account = _account(system)
    if account and not environ.get(account):
        raise StageError(f"${account} is not set: it holds the account of the batch job. Set it in the project.")
    return [word.replace(f"${account}", environ[account]) if account else word for word in shlex.split(text)]


def _account(system: System) -> str:
    return _scheduler(system).account_env or ""


def _scheduler(system: System) -> SchedulerSpec:
    spec = main_scheduler(system)
    if spec is None or spec.kind != "slurm":
        raise StageError(f"{system.system}: its first scheduler is not Slurm, so a pod cannot submit with sbatch.")
    return spec


def _phase(system: System, name: str) -> Phase | None:
    return next((phase for phase in phases(system, inside=True) if phase.name == name), None)


class _Stop:
    """The first signal to this process; true once there was one."""

    def __init__(self) -> None:
        self.number = 0
        self.event = threading.Event()

    def __bool__(self) -> bool:
        return self.event.is_set()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        self.event.set()


@contextmanager
def _signals() -> Iterator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _submitted(argv: list[str], environ: Mapping[str, str], echo: Echo) -> str:
    """Submit the job and return its id."""
    echo(f"+ {shlex.join(argv)}")
    try:
        done = subprocess.run(
            argv, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise StageError(f"sbatch: {error.strerror or error}. Has the pod the annotations of the site file?") from error
    job = done.stdout.strip().partition(";")[0]
    if done.returncode != 0 or not job.isdigit():
        message = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise StageError(f"sbatch did not accept the batch job: exit code {done.returncode}: {message}")
    echo(f"batch job {job}")
    return job


def _wait(job: str, spec: SchedulerSpec, environ: Mapping[str, str], stop: _Stop, echo: Echo) -> None:
    """Return when the queue no longer shows the job, or after a signal. A query that fails is repeated.

    ``sbatch --wait`` would keep one connection open for hours, and asks less often the longer it waits.
    """
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={job}"]
    shown = ""
    while not stop.event.wait(spec.status_interval):
        done = subprocess.run(
            command, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        state = done.stdout.strip() if done.returncode == 0 else None
        if state == "" or "invalid job id" in done.stderr.lower():
            return
        line = state if state is not None else f"squeue failed: {done.stderr.strip()}"
        if line != shown:
            echo(f"batch job {job}: {line}")
        shown = line


def _result(submission: Submission, before: Stage | None, grace: float) -> Stage | None:
    """Return what the batch job wrote; clients of a shared file system may see it only after some seconds."""
    end = time.monotonic() + grace
    while True:
        stage = read_stage(submission.request.folder)
        if stage is not None and stage != before and stage.state != "started":
            return stage
        if time.monotonic() >= end:
            return stage if stage != before else None
        time.sleep(min(1.0, max(0.0, end - time.monotonic())))


def _cancel(job: str, environ: Mapping[str, str], echo: Echo) -> None:
    if shutil.which("scancel", path=environ.get("PATH", os.defpath)) is None:
        echo(f"batch job {job} was not cancelled, since this pod has no scancel: run `scancel {job}` on a login node")
        return
    done = subprocess.run(["scancel", job], env=dict(environ), stdin=subprocess.DEVNULL, check=False)
    echo(f"batch job {job}: " + ("cancelled" if done.returncode == 0 else f"scancel failed; run `scancel {job}`"))
