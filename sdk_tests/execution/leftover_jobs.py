"""Jobs that payloads submitted by themselves and left in the queue, and the clean-up at the end of a run.

Leftover jobs are found by their working directory, which is below the scratch folder of their case. Those of a payload
that did not end well are cancelled. A submission may still be on its way when its payload is killed and reach the queue
after a first look; so the last look is taken ``SUBMISSION_GRACE`` seconds after the payload's end, and a look or a
cancellation that fails is repeated.

The jobs of any payload may keep their places in the queue a little longer than the payload lives. Where a site admits
one job of a user, the next submission would then be refused, so these places count until the queue shows them no more.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from sdk_tests.execution.process_table import ProcessEnd, ProcessTable
from sdk_tests.schedulers import CommandFailed, CommandResult, OwnJob, SchedulerKind

SUBMISSION_GRACE = 3.0
"""Seconds after a payload's end in which a job that it submitted may still reach the queue."""
HOLD_LIMIT = 60.0
"""Seconds after a payload's end for which its jobs hold their places at most, whatever the queue shows."""
COMMAND_LIMIT = 30.0
LAST_LIMIT = 10.0
"""Seconds that a command may take at the end of a run."""
CANCEL_AGAIN = 5.0
"""Seconds after which a cancellation that has not taken effect is repeated."""
CONFIRM_LIMIT = 20.0
"""Seconds in which cancelled jobs must have left the queue, or they are reported."""


class LeftoverJobs:
    """The leftover jobs of payloads on one scheduler; works inside ``ProcessTable.poll``."""

    def __init__(self, kind: SchedulerKind, env: Mapping[str, str], folder: str, processes: ProcessTable) -> None:
        self.kind, self.env, self.folder, self.processes = kind, env, folder, processes
        self._sought: dict[str, float] = {}
        """Scratch folder → monotonic seconds at which its payload ended."""
        self._held: dict[str, tuple[int, float]] = {}
        """Scratch folder → the places of its payload's jobs, and monotonic seconds at which it ended."""
        self._cancelled: set[str] = set()
        self._looking = False
        self._next = 0.0

    def seek(self, scratch: str) -> None:
        """From now on look for jobs that work in a scratch folder, until a look that is late enough finds none."""
        if self.kind.own_jobs_argv() is not None:
            self._sought[scratch] = time.monotonic()
            self._next = 0.0

    def hold(self, scratch: str, places: int) -> None:
        """Count the places of an ended payload's jobs until a look finds none of them."""
        if places and self.kind.own_jobs_argv() is not None:
            self._held[scratch] = (places, time.monotonic())
            self._next = 0.0

    @property
    def held(self) -> int:
        """Places in the queue that jobs of ended payloads may still have."""
        return sum(places for places, _ in self._held.values())

    @property
    def sought(self) -> list[str]:
        """Scratch folders whose jobs have not been shown to be gone."""
        return list(self._sought)

    def tick(self) -> None:
        """Look again if it is time."""
        now = time.monotonic()
        self._held = {scratch: held for scratch, held in self._held.items() if now - held[1] < HOLD_LIMIT}
        argv = self.kind.own_jobs_argv()
        if argv is None or self._looking or not (self._sought or self._held) or now < self._next:
            return
        self._looking = True
        self._spawn(argv, lambda end: self._listed(now, argv, end))

    def _listed(self, began: float, argv: Sequence[str], end: ProcessEnd) -> None:
        result = CommandResult(tuple(argv), end.exit_code, _text(end.stdout), _text(end.stderr))
        listed = _own_jobs(self.kind, result)
        if isinstance(listed, str):
            self._again()
            return
        for scratch, (_, since) in list(self._held.items()):
            if began >= since and not below(listed, [scratch]):
                del self._held[scratch]
        fresh = [job for job in below(listed, self._sought) if job not in self._cancelled]
        if fresh:
            self._spawn(self.kind.cancel_argv(fresh), lambda end: self._cancelled_jobs(fresh, end))
            return
        self._sought = {scratch: ended for scratch, ended in self._sought.items() if began - ended < SUBMISSION_GRACE}
        self._again()

    def _cancelled_jobs(self, ids: Sequence[str], end: ProcessEnd) -> None:
        if end.exit_code == 0:
            self._cancelled.update(ids)
        self._again()

    def _again(self) -> None:
        self._looking = False
        self._next = time.monotonic() + 1.0

    def _spawn(self, argv: Sequence[str], done: Callable[[ProcessEnd], None]) -> None:
        self.processes.spawn(f"leftover jobs {argv[0]}", argv, self.env, self.folder, COMMAND_LIMIT, done)


def clear(
    kind: SchedulerKind,
    env: Mapping[str, str],
    ids: Sequence[str],
    scratches: Sequence[str],
    token: str = "",
    *,
    limit: float = CONFIRM_LIMIT,
) -> tuple[str, str] | None:
    """Cancel jobs at the end of a run, and confirm that they have left the queue; blocks for at most ``limit`` seconds.

    Cancels the jobs ``ids``, those that work below ``scratches``, and those whose name ends in ``token``.

    Returns:
        None if no such job is in the queue any more; else a description of what may be there, and the command that
        cancels it by hand (empty if the jobs could not be listed).
    """
    listing = kind.own_jobs_argv()
    if listing is None and not ids:
        return None
    deadline = time.monotonic() + limit
    until = time.monotonic() + (min(SUBMISSION_GRACE, limit) if scratches or token else 0.0)
    pending, sent, problem = list(ids), dict[str, float](), ""
    while True:
        due = [job_id for job_id in pending if time.monotonic() - sent.get(job_id, -CANCEL_AGAIN) >= CANCEL_AGAIN]
        if due:
            sent.update(dict.fromkeys(due, time.monotonic()))
            done = _run(kind.cancel_argv(due), env)
            problem = "" if done.exit_code == 0 else done.evidence
        remaining = _remaining(kind, env, listing, ids, scratches, token)
        if isinstance(remaining, str):
            problem = remaining
        else:
            pending = remaining
            if not pending and time.monotonic() >= until:
                return None
        if time.monotonic() >= deadline:
            break
        time.sleep(0.3)
    if isinstance(remaining, str):
        named = f"jobs {', '.join(pending)} may still be there; " if pending else ""
        return f"{named}the jobs in the queue could not be listed: {problem}", _by_hand(kind, pending)
    return f"jobs {', '.join(pending)} are still in the queue" + (f": {problem}" if problem else ""), _by_hand(
        kind, pending
    )


def _remaining(
    kind: SchedulerKind,
    env: Mapping[str, str],
    listing: Sequence[str] | None,
    ids: Sequence[str],
    scratches: Sequence[str],
    token: str,
) -> list[str] | str:
    """Return the jobs that are still in the queue, or why that is not known."""
    if listing is None:
        done = _run(kind.status_argv(ids), env)
        try:
            statuses = kind.parse_status(done)
        except CommandFailed as failed:
            return str(failed)
        keys = {kind.job_key(job_id) for job_id, status in statuses.items() if not status.state.ended}
        return [job_id for job_id in ids if kind.job_key(job_id) in keys]
    listed = _own_jobs(kind, _run(listing, env))
    if isinstance(listed, str):
        return listed
    keys = {kind.job_key(job_id) for job_id in ids}
    wanted = [job_id for job_id in listed if kind.job_key(job_id) in keys]
    wanted += below(listed, scratches)
    wanted += [job_id for job_id, job in listed.items() if token and job.name.endswith(token)]
    return list(dict.fromkeys(wanted))


def below(listed: Mapping[str, OwnJob], scratches: Iterable[str]) -> list[str]:
    """Return the listed jobs that work below one of the folders, however the scheduler spells a symbolic link."""
    folders = tuple(place + "/" for scratch in scratches for place in {scratch, os.path.realpath(scratch)})
    return [job_id for job_id, job in listed.items() if (job.folder + "/").startswith(folders)]


def _own_jobs(kind: SchedulerKind, done: CommandResult) -> dict[str, OwnJob] | str:
    try:
        return kind.parse_own_jobs(done)
    except CommandFailed as failed:
        return str(failed)
    except Exception as error:  # noqa: BLE001  # a listing that cannot be read is asked for again, and then reported
        return f"{type(error).__name__}: {error}"


def _by_hand(kind: SchedulerKind, ids: Sequence[str]) -> str:
    return shlex.join(kind.cancel_argv(ids)) if ids else ""


def _run(argv: Sequence[str], env: Mapping[str, str]) -> CommandResult:
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=LAST_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return CommandResult(tuple(argv), None, "", "")
    except OSError as error:
        return CommandResult(tuple(argv), 127, "", str(error))
    return CommandResult(tuple(argv), done.returncode, _text(done.stdout), _text(done.stderr))


def _text(output: bytes) -> str:
    return output.decode(errors="replace")
