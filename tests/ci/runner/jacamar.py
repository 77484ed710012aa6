"""A custom executor that behaves as Jacamar CI is documented to; a program, started once for each stage of a job.

    python -m tests.ci.runner.jacamar CONFIGURATION config|prepare|run SCRIPT STAGE|cleanup

Sources:
- https://docs.gitlab.com/runner/executors/custom/ : the four stages, the JSON of config, ``BUILD_FAILURE_EXIT_CODE``
  for every failure of a script and ``SYSTEM_FAILURE_EXIT_CODE`` for one of the executor, SIGTERM to end it.
- https://ecp-ci.gitlab.io/docs/admin/jacamar/configuration.html : ``data_dir`` holds all files of a job in folders that
  only their user may enter (0700); ``kill_timeout``; ``arguments_variable`` names the variable with the job's options.
- https://ecp-ci.gitlab.io/docs/admin/jacamar/executors.html : a batch executor submits the script of the job with
  ``sbatch`` or ``qsub`` and these options, follows it with the scheduler's own commands, copies its output to the log,
  and takes the exit status from the scheduler. The other scripts run on the host of the runner.
- https://ecp-ci.gitlab.io/docs/releasenotes/jacamar/jacamar_0.2.0.html : scripts run in ``bash --login``, and the
  folder of a project is ``…/builds/RUNNER/000/GROUP/PROJECT``.
- https://gitlab.com/gitlab-org/gitlab-runner/-/merge_requests/5028 : the runner sees exit code 1 for every failure.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

BATCH_STAGES = ("step_script", "build_script")
INTERVAL = 0.5
KILL_TIMEOUT = 100.0


@dataclass(frozen=True)
class Configuration:
    """What Jacamar's configuration file holds.

    executor: ``shell``, ``slurm`` or ``pbs``. path: PATH before a login shell has changed it.
    """

    executor: str
    data_dir: str
    user: str
    home: str
    arguments_variable: str = "SCHEDULER_PARAMETERS"
    path: str = "/usr/local/bin:/usr/bin:/bin"


class Stopped(Exception):
    """GitLab Runner asked the executor to end."""


def stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def custom(name: str) -> str:
    return os.environ.get(f"CUSTOM_ENV_{name}", "")


def folder(configuration: Configuration, kind: str) -> Path:
    """Return a folder of the user's; the folders above it, up to data_dir, may be entered by nobody else."""
    path = Path(configuration.data_dir)
    for name in (configuration.user, kind, custom("CI_RUNNER_SHORT_TOKEN"), custom("CI_CONCURRENT_ID").zfill(3)):
        path /= name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def config(configuration: Configuration) -> int:
    answer = {
        "builds_dir": str(folder(configuration, "builds")),
        "cache_dir": str(folder(configuration, "cache")),
        "builds_dir_is_shared": True,
        "hostname": os.uname().nodename,
        "driver": {"name": "Jacamar as documented", "version": "0"},
        "job_env": {"JACAMAR_SCRIPTS": str(folder(configuration, "scripts") / custom("CI_JOB_ID"))},
    }
    print(json.dumps(answer))
    return 0


def prepare(configuration: Configuration) -> int:
    scripts = Path(os.environ["JACAMAR_SCRIPTS"])
    scripts.mkdir(mode=0o700, exist_ok=True)
    print(f"Running as {configuration.user} with the executor {configuration.executor}", flush=True)
    return 0


def cleanup() -> int:
    scripts = Path(os.environ["JACAMAR_SCRIPTS"])
    for path in scripts.iterdir():
        path.unlink()
    scripts.rmdir()
    return 0


def run(configuration: Configuration, script: Path, stage: str) -> int:
    """Run a script of the runner, in a login shell of the user; return 0, or the code for a failed build."""
    failed = int(os.environ["BUILD_FAILURE_EXIT_CODE"])
    own = Path(os.environ["JACAMAR_SCRIPTS"]) / f"{stage}.bash"
    own.write_bytes(script.read_bytes())
    own.chmod(0o700)
    batch = configuration.executor != "shell" and stage in BATCH_STAGES
    try:
        code = _submit(configuration, own) if batch else _shell(configuration, own)
    except Stopped:
        return failed
    if code:
        print(f"exit status {code}", file=sys.stderr, flush=True)
    return failed if code else 0


def _environment(configuration: Configuration) -> dict[str, str]:
    """Return the environment before the login shell: what a new session of the user has, and nothing of the runner."""
    return {
        "HOME": configuration.home,
        "USER": configuration.user,
        "LOGNAME": configuration.user,
        "SHELL": "/bin/bash",
        "PATH": configuration.path,
    }


def _shell(configuration: Configuration, script: Path) -> int:
    process = subprocess.Popen(
        ["bash", "--login", str(script)], env=_environment(configuration), stdin=subprocess.DEVNULL
    )
    try:
        return process.wait()
    except Stopped:  # the runner has sent the signal to the whole process group
        process.wait()
        raise


def _submit(configuration: Configuration, script: Path) -> int:
    """Submit a script as a batch job, copy its output to the log, and return its exit status."""
    output = script.with_suffix(".out")
    arguments = shlex.split(custom(configuration.arguments_variable))
    system = {"slurm": _Slurm, "pbs": _Pbs}[configuration.executor](configuration)
    script.write_text("#!/bin/bash --login\n" + script.read_text())
    job = system.submit(arguments, script, output)
    print(f"Submitted batch job {job} with {shlex.join(arguments)}", flush=True)
    shown = 0
    try:
        while True:
            ended = system.exit_status(job)
            if output.exists():
                data = output.read_bytes()[shown:]
                sys.stdout.buffer.write(data)
                sys.stdout.flush()
                shown += len(data)
            if ended is not None:
                return ended
            time.sleep(INTERVAL)
    except Stopped:
        system.cancel(job)
        deadline = time.monotonic() + KILL_TIMEOUT
        while system.exit_status(job) is None and time.monotonic() < deadline:
            time.sleep(INTERVAL)
        if output.exists():
            sys.stdout.buffer.write(output.read_bytes()[shown:])
            sys.stdout.flush()
        raise


class _Scheduler:
    """Runs the scheduler's commands in the user's login shell, where the site puts them on PATH."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration

    def command(self, *argv: str) -> str:
        done = subprocess.run(
            ["bash", "--login", "-c", f"exec {shlex.join(argv)} 2>&1"],
            env=_environment(self.configuration),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemError(f"{shlex.join(argv)}: {done.stdout.strip()}")
        return done.stdout.strip()


class _Slurm(_Scheduler):
    def submit(self, arguments: list[str], script: Path, output: Path) -> str:
        answer = self.command("sbatch", "--parsable", f"--output={output}", *arguments, str(script))
        return answer.splitlines()[-1].partition(";")[0]

    def exit_status(self, job: str) -> int | None:
        fields = dict(
            part.split("=", 1) for part in self.command("scontrol", "show", "job", job).split() if "=" in part
        )
        if fields["JobState"] in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"):
            return None
        code = int(fields["ExitCode"].partition(":")[0])
        return 0 if fields["JobState"] == "COMPLETED" else code or 1

    def cancel(self, job: str) -> None:
        self.command("scancel", job)


class _Pbs(_Scheduler):
    def submit(self, arguments: list[str], script: Path, output: Path) -> str:
        return self.command("qsub", "-j", "oe", "-o", str(output), *arguments, str(script)).splitlines()[-1]

    def exit_status(self, job: str) -> int | None:
        answer = self.command("qstat", "-x", "-f", job)
        fields = dict(line.strip().split(" = ", 1) for line in answer.splitlines() if " = " in line)
        return None if fields["job_state"] != "F" else int(fields.get("Exit_status", "1"))

    def cancel(self, job: str) -> None:
        self.command("qdel", job)


def main(arguments: list[str]) -> int:
    file, stage, *rest = arguments
    content: dict[str, Any] = json.loads(Path(file).read_text())
    configuration = Configuration(**content)
    signal.signal(signal.SIGTERM, stop)
    try:
        if stage == "run":
            return run(configuration, Path(rest[0]), rest[1])
        return {"config": lambda: config(configuration), "prepare": lambda: prepare(configuration), "cleanup": cleanup}[
            stage
        ]()
    except (OSError, SystemError) as error:
        print(f"Jacamar: {error}", file=sys.stderr, flush=True)
        return int(os.environ["SYSTEM_FAILURE_EXIT_CODE"])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
