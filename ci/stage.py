"""Run one stage of a pipeline: an ``exaworks`` command as a process. Its results are kept even if it is killed."""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType

import msgspec

from ci.errors import StageError
from ci.results import Stage, copy_outbox, read_run, read_stage, write_stage
from exaworks_sdk.paths import Places

CLI = (sys.executable, "-I", "-m", "exaworks_sdk")
CONTROL = "control"
"""The stage with the control cases, and their component. EXAWORKS_CI_OPTIONS does not apply to this stage."""
WITHHELD = 1
LANES = "EXAWORKS_LANES"
OPTIONS = "private/options.json"
"""The file in the folder of a run with the deployments that its command named."""
_PR_SET_PDEATHSIG = 1

Echo = Callable[[str], None]


@dataclass(frozen=True)
class StageRequest:
    """The stage to run; ``after``: a stage that must have passed; ``lock``: whether to hold the lock meanwhile.

    ``lane``: the lane that the stage belongs to, with a lock of its own.
    """

    stage: str
    system: str
    argv: tuple[str, ...]
    results: Path
    after: str | None = None
    lock: bool = False
    lane: str | None = None

    @property
    def tests(self) -> bool:
        return self.argv[:1] == ("validate",)

    @property
    def folder(self) -> Path:
        return self.results / self.stage


def run(request: StageRequest, places: Places, environ: dict[str, str], echo: Echo) -> int:
    """Run the stage and return the exit code of its command.

    The results folder is written before the command starts and again after it ends, so that it also shows a stage that
    was killed. Of such a stage, ``collect`` copies the outbox.

    Raises:
        StageError: the results folder cannot be written, or the command cannot be started.
    """
    if not chosen(request.lane, environ):
        echo(f"{request.stage} is not run: EXAWORKS_LANES is {environ[LANES]}")
        return 0
    command = complete(request, environ)
    stage = Stage(
        stage=request.stage,
        system=request.system,
        tests=request.tests,
        command=command,
        started=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        before=_runs(places),
    )
    reason = withheld(request)
    if reason is not None:
        write_stage(request.folder, msgspec.structs.replace(stage, state="withheld", reason=reason))
        echo(f"{request.stage} is not run: {reason}")
        return WITHHELD
    write_stage(request.folder, stage)
    started = time.monotonic()
    with _locked(places.home / (f"ci-{request.lane}.lock" if request.lane else "ci.lock"), request.lock, echo):
        echo(f"+ exaworks {shlex.join(command)}")
        code = _command([*CLI, *command], environ)
    ended = msgspec.structs.replace(stage, state="ended", seconds=round(time.monotonic() - started, 3), exit_code=code)
    try:  # before the stage counts as ended: ``exaworks ci collect`` repeats this for one that is killed meanwhile
        ended = msgspec.structs.replace(ended, runs=collect(request.folder, places))
    except StageError:
        write_stage(request.folder, ended)
        raise
    write_stage(request.folder, ended)
    return code


def collect(folder: Path, places: Places) -> list[str]:
    """Copy the outbox of every run that the stage started, and return the names of the runs. Can be repeated."""
    stage = read_stage(folder)
    if stage is None or stage.state == "withheld":
        return []
    new = [name for name in _runs(places) if name not in set(stage.before)]
    new = [name for name in new if _is_of(places.runs / name, stage)]
    try:
        copy_outbox(places.runs, folder, new)
    except OSError as error:
        raise StageError(f"{folder}: the results cannot be copied: {error.strerror or error}") from error
    write_stage(folder, msgspec.structs.replace(stage, runs=new))
    return new


def complete(request: StageRequest, environ: dict[str, str]) -> list[str]:
    """Return the command; to a validation, add the options that the pipeline's variables give.

    A validation does not upload results: that is a separate stage, so that a collector that does not answer costs no
    time in an allocation.
    """
    if not request.tests:
        return list(request.argv)
    command = [*request.argv, "--site", request.system, "--no-upload", "--trigger", trigger(environ)]
    if environ.get("EXAWORKS_DEPLOYMENT") and "--deployment" not in command:
        command += ["--deployment", environ["EXAWORKS_DEPLOYMENT"]]
    if request.stage != CONTROL:
        command += shlex.split(environ.get("EXAWORKS_CI_OPTIONS", ""))
    return command


def trigger(environ: dict[str, str]) -> str:
    """Return the trigger of this pipeline, on GitLab or GitHub, as records name it."""
    source = environ.get("EXAWORKS_TRIGGER") or environ.get("CI_PIPELINE_SOURCE") or "manual"
    names = {"schedule": "nightly", "merge_request_event": "merge request", "pull_request": "merge request"}
    names |= {"web": "manual", "workflow_dispatch": "manual"}
    return names.get(source, source)


def withheld(request: StageRequest) -> str | None:
    """Return the reason why the stage must not run, or None: the stage before it has not passed."""
    if request.after is None:
        return None
    before = read_stage(request.results / request.after)
    if before is None:
        return f"{request.after} has no results"
    runs = [read_run(request.results / request.after / name) for name in before.runs]
    closed = [run.closed["exit_code"] for run in runs if run is not None and run.closed is not None]
    whole = len(closed) == len(runs) and (bool(runs) or not before.tests)
    if before.exit_code == 0 and whole and not any(closed):
        return None
    return f"{request.after} did not pass"


def _runs(places: Places) -> list[str]:
    return sorted(path.parent.name for path in places.runs.glob("*/manifest.json"))


def _is_of(folder: Path, stage: Stage) -> bool:
    """Return whether the stage started a run; lanes that run at the same time differ by their deployments."""
    named = deployments_of(stage.command)
    try:
        if named and msgspec.json.decode((folder / OPTIONS).read_bytes())["deployments"] != named:
            return False
    except (OSError, msgspec.MsgspecError, KeyError, TypeError):
        return False
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    except (OSError, msgspec.MsgspecError):
        return True  # a damaged manifest is kept, so that the verdict can report it
    return isinstance(manifest, dict) and f"{manifest.get('site')}/{manifest.get('system')}" == stage.system


def deployments_of(command: Sequence[str]) -> list[str]:
    """Return the deployments that a command of a validation names."""
    return [value for option, value in itertools.pairwise(command) if option == "--deployment"]


def chosen(lane: str | None, environ: Mapping[str, str]) -> bool:
    """Return whether a lane runs; a stage without a lane always does."""
    names = chosen_lanes(environ)
    return lane is None or not names or lane in names


def chosen_lanes(environ: Mapping[str, str]) -> list[str]:
    """Return the lanes that the pipeline's variable names; empty for all of them."""
    names = [name.strip() for name in environ.get(LANES, "").split(",") if name.strip()]
    return [] if "all" in names else names


def _command(argv: list[str], environ: dict[str, str]) -> int:
    """Run a command in its own process group and return its exit code; forward only the first signal to it.

    A job is cancelled by a signal to its process group. A second signal would make a validation exit without cleaning
    up. If this process is killed, the kernel sends SIGTERM to the command.
    """
    libc = ctypes.CDLL(None)

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    stopped: list[int] = []
    started: list[subprocess.Popen[bytes]] = []

    def forward(number: int, frame: FrameType | None) -> None:
        if not stopped and started:
            started[0].send_signal(signal.SIGTERM)
        stopped.append(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        process = subprocess.Popen(
            argv, env=environ, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent
        )
        started.append(process)
        if stopped:
            process.send_signal(signal.SIGTERM)
        code = process.wait()
    except OSError as error:
        raise StageError(f"{argv[0]}: cannot be started: {error.strerror or error}") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code < 0:
        return 128 - code
    return 130 if stopped and code == 0 else code


@contextmanager
def _locked(path: Path, wanted: bool, echo: Echo) -> Iterator[None]:
    """Hold the lock of the work directory if ``wanted``; the kernel releases it even if this process is killed."""
    if not wanted:
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            echo(f"waiting for another pipeline to release {path}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
