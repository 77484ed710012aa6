"""What is known of each scheduler while a run goes on: its control's verdict, and whether it still answers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence

from sdk_tests.judging.classification import Health
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell

COMMAND_LIMIT = 5.0
"""Seconds a short native command may take."""
ASK_AGAIN = 2.0
"""Seconds for which an answer to a ping holds."""


class SchedulerHealths:
    """Evidence for or against each scheduler, asked for only after something has gone wrong."""

    def __init__(self, schedulers: Mapping[str, AvailableScheduler]) -> None:
        self._schedulers = schedulers
        self._controls: dict[str, str] = {}
        self._pings: dict[str, tuple[float, str | None]] = {}

    def control_failed(self, scheduler: str, evidence: str) -> None:
        """Remember that the control case of a scheduler did not pass."""
        self._controls[scheduler] = evidence

    def of(self, cell: Cell) -> Health:
        """Return what speaks against the scheduler of a case; a control is no evidence against itself."""
        kind = self._schedulers[cell.scheduler].outermost.kind
        control = None if cell.control else self._controls.get(cell.scheduler)
        if not kind.batch:
            return Health(control=control)
        asked, dead = self._pings.get(cell.scheduler, (float("-inf"), None))
        if time.monotonic() - asked > ASK_AGAIN:
            dead = run_briefly(kind.ping_argv(), kind.env)
            self._pings[cell.scheduler] = (time.monotonic(), dead)
        return Health(control=control, dead=dead)


def run_briefly(argv: Sequence[str], env: Mapping[str, str]) -> str | None:
    """Run a short native command; return None where it exits 0, else a line of evidence."""
    try:
        done = subprocess.run(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_LIMIT,
            check=False,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return f"{' '.join(argv)}: no answer within {COMMAND_LIMIT:g} s"
    except OSError as error:
        return f"{' '.join(argv)}: {error}"
    if done.returncode == 0:
        return None
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return f"{' '.join(argv)}: exit {done.returncode}: {said[-1] if said else 'no message'}"
