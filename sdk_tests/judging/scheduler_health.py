"""The health of each scheduler during a run: the verdict of its control case, and whether it answers questions."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence

from sdk_tests.judging.classification import Health
from sdk_tests.model.attempt import Judgement
from sdk_tests.model.output import telling_line
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell
from sdk_tests.schedulers import CommandFailed, CommandResult, SchedulerKind

COMMAND_LIMIT = 5.0
"""Seconds that a short command of the scheduler may take."""
LISTING_LIMIT = 20.0
"""Seconds that a list of this user's jobs may take."""
PING_INTERVAL = 2.0
"""Seconds after which the result of a ping is too old, and the scheduler is asked again."""


class SchedulerHealths:
    """Evidence against each scheduler, collected only after a case on it has failed."""

    def __init__(self, schedulers: Mapping[str, AvailableScheduler]) -> None:
        self._schedulers = schedulers
        self._controls: dict[str, Judgement] = {}
        self._pings: dict[tuple[str, bool], tuple[float, str | None]] = {}

    def control_failed(self, scheduler: str, judgement: Judgement) -> None:
        """Store the judgement of a scheduler's control case that did not pass."""
        self._controls[scheduler] = judgement

    def failed_control(self, scheduler: str) -> str | None:
        """Return the evidence that the control case of a scheduler failed; None if it did not."""
        control = self._controls.get(scheduler)
        return control.cause.evidence if control is not None else None

    def of(self, cell: Cell) -> Health:
        """Return the evidence against the scheduler of a cell; a control case is no evidence against itself."""
        kind = self._schedulers[cell.scheduler].outermost.kind
        control = None if cell.control else self._controls.get(cell.scheduler)
        if not kind.batch:
            return Health(control=control)
        asks = cell.case.where == "login"  # its payload itself asks the scheduler about jobs
        pinged, unreachable = self._pings.get((cell.scheduler, asks), (float("-inf"), None))
        if time.monotonic() - pinged > PING_INTERVAL:
            unreachable = run_briefly(kind.ping_argv(), kind.env) or (_listing_problem(kind) if asks else None)
            self._pings[cell.scheduler, asks] = (time.monotonic(), unreachable)
        return Health(control=control, unreachable=unreachable)


def _listing_problem(kind: SchedulerKind) -> str | None:
    """Return why a list of this user's jobs cannot be had from a scheduler; None if it can."""
    argv = kind.own_jobs_argv()
    if argv is None:
        return None
    done = _run(argv, kind.env, LISTING_LIMIT)
    if isinstance(done, str):
        return f"{CommandResult(tuple(argv), None, '', '').program}: {done}"
    answered = CommandResult(tuple(argv), done.returncode, done.stdout, done.stderr)
    try:
        kind.parse_own_jobs(answered)
    except CommandFailed as failed:
        return str(failed)
    except Exception as error:  # noqa: BLE001  # a kind that cannot read an answer must not end the run
        return f"{answered.program}: its answer cannot be read: {type(error).__name__}: {error}"
    return None


def run_briefly(argv: Sequence[str], env: Mapping[str, str]) -> str | None:
    """Run a short command of a scheduler; return None if it exits with 0, else one line of evidence."""
    done = _run(argv, env, COMMAND_LIMIT)
    if isinstance(done, str):
        return f"{' '.join(argv)}: {done}"
    if done.returncode == 0:
        return None
    line = telling_line(done.stderr) or telling_line(done.stdout) or "no message"
    return f"{' '.join(argv)}: exit {done.returncode}: {line}"


def _run(argv: Sequence[str], env: Mapping[str, str], limit: float) -> subprocess.CompletedProcess[str] | str:
    """Run a command of a scheduler; return why, if it did not start or end within ``limit`` seconds."""
    try:
        return subprocess.run(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit,
            check=False,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {limit:g} s"
    except OSError as error:
        return str(error)
