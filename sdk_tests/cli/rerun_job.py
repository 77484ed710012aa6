"""A rerun of a payload that runs in a batch job: submitted, watched and cancelled as in a validation run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from sdk_tests.execution.messages import AttemptFinished, CleanupFailed, Event, LaunchRequest, Setup
from sdk_tests.execution.submission import new_job, submit_command
from sdk_tests.execution.supervisor_link import Link

if TYPE_CHECKING:
    from sdk_tests.model.attempt import AttemptResult
    from sdk_tests.plan.available_scheduler import AvailableScheduler

JOB = "{}-job001"
"""The folder of the only job of a supervisor, by the name of its scheduler."""


def needs_job(request: LaunchRequest, scheduler: AvailableScheduler) -> bool:
    return scheduler.outermost.kind.batch and request.where in ("allocation", "job")


def prepared(setup: Setup, request: LaunchRequest, scheduler: AvailableScheduler) -> tuple[list[str], Path]:
    """Write the files of a job that runs a request; return the command that submits it, and the folder of its output.

    Raises:
        OSError: the files cannot be written.
    """
    folder = Path(setup.folder) / JOB.format(request.scheduler)
    given = setup.schedulers[request.scheduler]
    job = new_job(f"ex-1-{setup.job_token}", folder, [request], given, shared=False)
    return submit_command(job, scheduler.outermost.kind, given, setup), folder


def run_in_job(setup: Setup, request: LaunchRequest) -> int:
    """Run a request in a job of its own, print the payload's output when it has ended, and return its exit code.

    An interrupt cancels the job.

    Raises:
        RunError: the process that submits and watches the job died.
    """
    link = Link(Path(setup.folder) / "supervisor.log")
    try:
        link.send(setup, msgspec.structs.replace(request, answer=False, frame=""))
        result = _result(link)
    finally:
        for message in link.close():
            if isinstance(message, CleanupFailed):
                _note(f"warning: jobs may be left on {message.scheduler}: {message.detail} {message.command}")
    folder = Path(setup.folder) / JOB.format(request.scheduler)
    for name, stream in (("0.out", sys.stdout), ("0.err", sys.stderr)):
        if (folder / name).exists():
            stream.flush()
            with (folder / name).open("rb") as output:
                shutil.copyfileobj(output, stream.buffer)
            stream.flush()
    if result.ending != "exited":
        reason = "; ".join(part for part in (result.detail, result.native_reason) if part)
        _note(f"the payload has not ended by itself: {result.ending}{f': {reason}' if reason else ''}")
    _note(f"output:  {folder}")
    if result.signal is not None:
        return 128 + result.signal
    return result.exit_code if result.ending == "exited" and result.exit_code is not None else 1


def _result(link: Link) -> AttemptResult:
    while True:
        for message in link.receive(1.0):
            if isinstance(message, Event):
                _note(f"{message.what}: {message.detail}" if message.detail else message.what)
            elif isinstance(message, AttemptFinished):
                return message.result


def without_frame(argv: list[str]) -> list[str]:
    """Return the command without the lines around the answer, which only the harness needs."""
    *command, text = argv
    try:
        request = json.loads(text)
        request.pop("frame", None)
        return [*command, json.dumps(request)]
    except (ValueError, AttributeError):
        return list(argv)


def _note(text: str) -> None:
    click.echo(text, err=True)
