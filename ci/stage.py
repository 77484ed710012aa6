"""Run one stage of a pipeline: an ``exaworks`` command as a process, with its results kept however it ends."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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
"""A stage and the component of its cases, which show whether the site is sound: no option may select them away."""
WITHHELD = 1
_PR_SET_PDEATHSIG = 1

Say = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What to run: ``after`` names a stage whose runs must have passed first, ``lock`` takes the work directory's."""

    stage: str
    system: str
    argv: tuple[str, ...]
    results: Path
    after: str | None = None
    lock: bool = False

    @property
    def tests(self) -> bool:
        return self.argv[:1] == ("validate",)

    @property
    def folder(self) -> Path:
        return self.results / self.stage


def run(order: Order, places: Places, environ: dict[str, str], say: Say) -> int:
    """Run the stage and return its command's exit code.

    The results folder is written before the command starts and again when it has ended, so that also a stage that was
    killed is seen; ``collect`` fetches the outbox for one that was.

    Raises:
        StageError: the results folder cannot be written, or the command not be started.
    """
    command = complete(order, environ)
    said = "exaworks " + shlex.join(command)
    stage = Stage(
        stage=order.stage,
        system=order.system,
        tests=order.tests,
        command=command,
        started=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        before=_runs(places),
    )
    reason = withheld(order)
    if reason is not None:
        write_stage(order.folder, msgspec.structs.replace(stage, state="withheld", reason=reason))
        say(f"{order.stage} is not run: {reason}")
        return WITHHELD
    write_stage(order.folder, stage)
    begun = time.monotonic()
    with _locked(places, order.lock, say):
        say(f"+ {said}")
        code = _command([*CLI, *command], environ)
    ended = msgspec.structs.replace(stage, state="ended", seconds=round(time.monotonic() - begun, 3), exit_code=code)
    write_stage(order.folder, ended)
    collect(order.folder, places)
    return code


def collect(folder: Path, places: Places) -> list[str]:
    """Copy the outbox of every run that the stage began and return their names; may be repeated."""
    stage = read_stage(folder)
    if stage is None or stage.state == "withheld":
        return []
    new = [name for name in _runs(places) if name not in set(stage.before)]
    new = [name for name in new if _is_of(places.runs / name, stage.system)]
    try:
        copy_outbox(places.runs, folder, new)
    except OSError as error:
        raise StageError(f"{folder}: the results cannot be copied: {error.strerror or error}") from error
    write_stage(folder, msgspec.structs.replace(stage, runs=new))
    return new


def complete(order: Order, environ: dict[str, str]) -> list[str]:
    """Return the command with what the pipeline's variables add to a validation.

    Uploading is a stage of its own, so that a collector that does not answer never costs time in an allocation.
    """
    if not order.tests:
        return list(order.argv)
    words = [*order.argv, "--site", order.system, "--no-upload", "--trigger", trigger(environ)]
    if environ.get("EXAWORKS_DEPLOYMENT") and "--deployment" not in words:
        words += ["--deployment", environ["EXAWORKS_DEPLOYMENT"]]
    if order.stage != CONTROL:
        words += shlex.split(environ.get("EXAWORKS_CI_OPTIONS", ""))
    return words


def trigger(environ: dict[str, str]) -> str:
    """Say why this runs, in the words of a record."""
    source = environ.get("EXAWORKS_TRIGGER") or environ.get("CI_PIPELINE_SOURCE") or "manual"
    words = {"schedule": "nightly", "merge_request_event": "merge request", "web": "manual"}
    return words.get(source, source)


def withheld(order: Order) -> str | None:
    """Return why the stage must not run: the one it comes after has not passed."""
    if order.after is None:
        return None
    before = read_stage(order.results / order.after)
    if before is None:
        return f"{order.after} has left no results"
    runs = [read_run(order.results / order.after / name) for name in before.runs]
    closed = [run.closed["exit_code"] for run in runs if run is not None and run.closed is not None]
    whole = len(closed) == len(runs) and (bool(runs) or not before.tests)
    if before.exit_code == 0 and whole and not any(closed):
        return None
    return f"{order.after} did not pass"


def _runs(places: Places) -> list[str]:
    return sorted(path.parent.name for path in places.runs.glob("*/manifest.json"))


def _is_of(folder: Path, system: str) -> bool:
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    except (OSError, msgspec.MsgspecError):
        return True  # damaged: let the verdict see it
    return isinstance(manifest, dict) and f"{manifest.get('site')}/{manifest.get('system')}" == system


def _command(argv: list[str], environ: dict[str, str]) -> int:
    """Run it in a group of its own, so that a signal to this job's group reaches it once, through here.

    A second signal would make a validation leave at once. If this process is killed, the kernel tells the command.
    """
    libc = ctypes.CDLL(None)

    def follow() -> None:
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
            argv, env=environ, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=follow
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
def _locked(places: Places, wanted: bool, say: Say) -> Iterator[None]:
    """Hold the lock of the work directory; the kernel releases it however this ends."""
    if not wanted:
        yield
        return
    path = places.home / "ci.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another pipeline to release {path}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
