"""Jobs that payloads submitted by themselves and left in the queue: found by their working directory.

Those of a payload that did not end well are cancelled. A submission may be on its way when its payload is killed and
reach the queue after a first look; so the last look is taken ``SETTLE`` seconds after the payload's end, and a look or
a cancellation that fails is repeated.

Those of any payload may keep their places in the queue a little longer than it lives, and where a site admits one job
of a user, the next submission would be refused: the places count until the queue shows them no more.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence

from sdk_tests.execution.process_table import ProcessEnd, ProcessTable
from sdk_tests.schedulers import CommandFailed, Finished, SchedulerKind

SETTLE = 3.0
"""Seconds after a payload's end in which a job of its may still reach the queue."""
LINGER = 60.0
"""Seconds after a payload's end for which its jobs hold their places at most, whatever the queue shows."""
COMMAND_LIMIT = 30.0
LAST_LIMIT = 10.0
"""Seconds a command may take once nobody waits for the run any more."""


class LeftoverJobs:
    """What payloads on one scheduler left behind; works inside ``ProcessTable.poll``, as everything there."""

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
        if self.kind.mine_argv() is not None:
            self._sought[scratch] = time.monotonic()
            self._next = 0.0

    def hold(self, scratch: str, places: int) -> None:
        """Count the places of an ended payload's jobs until a look finds none of them."""
        if places and self.kind.mine_argv() is not None:
            self._held[scratch] = (places, time.monotonic())
            self._next = 0.0

    @property
    def held(self) -> int:
        """Places in the queue that jobs of ended payloads may still have."""
        return sum(places for places, _ in self._held.values())

    def tick(self) -> None:
        """Look again where it is time."""
        now = time.monotonic()
        self._held = {scratch: held for scratch, held in self._held.items() if now - held[1] < LINGER}
        argv = self.kind.mine_argv()
        if argv is None or self._looking or not (self._sought or self._held) or now < self._next:
            return
        self._looking = True
        self._spawn(argv, lambda ended: self._listed(now, argv, ended))

    def clear(self, ids: Sequence[str], running: Sequence[str]) -> str | None:
        """Do at once what is still to do, as ``clear`` below; ``running`` are scratches whose payloads just ended."""
        waited = min((time.monotonic() - ended for ended in self._sought.values()), default=0.0)
        scratches = [*self._sought, *running]
        self._sought.clear()
        return clear(self.kind, self.env, ids, scratches, 0.0 if running else waited)

    def _listed(self, began: float, argv: Sequence[str], ended: ProcessEnd) -> None:
        try:
            listed = self.kind.parse_mine(Finished(tuple(argv), ended.exit_code, _text(ended.stdout), ""))
        except CommandFailed:
            self._again()
            return
        for scratch, (_, since) in list(self._held.items()):
            if began >= since and not _among(listed, [scratch]):
                del self._held[scratch]
        fresh = [job for job in _among(listed, self._sought) if job not in self._cancelled]
        if fresh:
            self._spawn(self.kind.cancel_argv(fresh), lambda ended: self._told(fresh, ended))
            return
        self._sought = {scratch: ended for scratch, ended in self._sought.items() if began - ended < SETTLE}
        self._again()

    def _told(self, ids: Sequence[str], ended: ProcessEnd) -> None:
        if ended.exit_code == 0:
            self._cancelled.update(ids)
        self._again()

    def _again(self) -> None:
        self._looking = False
        self._next = time.monotonic() + 1.0

    def _spawn(self, argv: Sequence[str], done: object) -> None:
        assert callable(done)
        self.processes.spawn(f"strays {argv[0]}", argv, self.env, self.folder, COMMAND_LIMIT, done)


def clear(
    kind: SchedulerKind, env: Mapping[str, str], ids: Sequence[str], scratches: Sequence[str], waited: float = 0.0
) -> str | None:
    """Cancel jobs, and those that work in scratch folders whose payloads ended ``waited`` seconds ago.

    Returns:
        What could not be done, for people; None where all of it was.
    """
    failed = _clear_once(kind, env, list(ids), scratches)
    if failed is None and scratches and kind.mine_argv() is not None:
        time.sleep(max(0.0, SETTLE - waited))
        failed = _clear_once(kind, env, [], scratches)
    return failed


def _clear_once(kind: SchedulerKind, env: Mapping[str, str], ids: list[str], scratches: Sequence[str]) -> str | None:
    failed = None
    listing = kind.mine_argv()
    if listing is not None and scratches:
        try:
            ids += _among(kind.parse_mine(_run(listing, env)), scratches)
        except CommandFailed as silent:
            failed = f"jobs that payloads left could not be looked for: {silent}"
    if ids:
        done = _run(kind.cancel_argv(ids), env)
        if done.exit_code != 0:
            failed = f"jobs {', '.join(ids)} could not be cancelled: {done.line}"
    return failed


def _among(listed: Mapping[str, str], scratches: Iterable[str]) -> list[str]:
    """Return the listed jobs that work in one of the scratches, whichever way the scheduler spells a symlink."""
    places = tuple(place + "/" for scratch in scratches for place in {scratch, os.path.realpath(scratch)})
    return [job for job, folder in listed.items() if (folder + "/").startswith(places)]


def _run(argv: Sequence[str], env: Mapping[str, str]) -> Finished:
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=LAST_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return Finished(tuple(argv), None, "", "")
    except OSError as error:
        return Finished(tuple(argv), 127, "", str(error))
    return Finished(tuple(argv), done.returncode, _text(done.stdout), _text(done.stderr))


def _text(output: bytes) -> str:
    return output.decode(errors="replace")
