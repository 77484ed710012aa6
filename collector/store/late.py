"""The history of cells after a change in the past: a late run costs the runs since then, not the whole history.

The runs are read from the newest back: all that started since the oldest change, and some before. What lies further
back is unchanged, so the stored history of a cell states what is needed of it. Where it does not, more runs are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, tuple_

from collector.store.streaks import DECISIVE, KEPT, Observation, Streak
from collector.store.tables import runs

BEFORE = 2 * KEPT
"""The number of runs before the oldest change that are read first; each further step reads four times as many."""

Observe = Callable[[Any, int], Observation | None]
"""A function that returns the observation of a cell in a run; None if the run has none."""


def late_streaks(
    connection: Connection,
    query: Select[Any],
    before: Mapping[int, Streak],
    changes: Mapping[int, int],
    since: int,
    observe: Observe,
) -> dict[int, Streak]:
    """Return the histories of cells after their observations in some runs changed.

    ``query``: selects the runs of the system. ``before``: the stored history of each cell. ``changes``: the number of
    runs in which its observation changed. ``since``: the start of the oldest of these runs.
    """
    newest = query.order_by(None).order_by(runs.c.started.desc(), runs.c.run_id.desc())
    loaded: list[Any] = list(connection.execute(newest.where(runs.c.started >= since)))
    streaks: dict[int, Streak] = {}
    missing, limit, complete = set(before), BEFORE, False
    while missing:
        older = newest.limit(limit).where(runs.c.started < since)
        if loaded and loaded[-1].started < since:
            last = loaded[-1]
            older = older.where(tuple_(runs.c.started, runs.c.run_id) < tuple_(last.started, last.run_id))
        rows = list(connection.execute(older))
        loaded += rows
        complete, limit = len(rows) < limit, 4 * limit
        windows: dict[int, list[Observation]] = {cell: [] for cell in missing}
        for run in reversed(loaded):
            for cell, window in windows.items():
                observation = observe(run, cell)
                if observation is not None:
                    window.append(observation)
        for cell, window in windows.items():
            first = None if complete else loaded[-1].started
            streak = joined(before[cell], window, first, changes[cell])
            if streak is not None:
                streaks[cell] = streak
                missing.remove(cell)
    return streaks


def joined(before: Streak, window: Sequence[Observation], first: int | None, changes: int) -> Streak | None:
    """Return the history of a cell whose newest observations are ``window``, the oldest first.

    ``first``: when the oldest run that was read started, whether it has the cell or not; None if there is no older one.
    ``before`` is the history before at most ``changes`` observations in the window changed. Return None if older runs
    must be read.
    """
    streak = Streak()
    for observation in window:
        streak = streak.extended(observation)
    known = len(before.history or "")
    if first is None or (known < KEPT and len(window) == known + changes):
        return streak
    tail, earlier = window[-KEPT:], window[:-KEPT]
    decides = [each.outcome in DECISIVE for each in tail]
    if len(tail) < KEPT or (any(decides) and not any(each.outcome in DECISIVE for each in earlier)):
        return None
    if streak.since_run == window[0].run:  # the same outcome in the whole window
        if before.last_outcome != streak.last_outcome or not _is_older(before.since_started, first):
            return None
        streak = streak._replace(since_run=before.since_run, since_started=before.since_started)
    if streak.pass_run is None:
        if before.pass_run is not None and not _is_older(before.pass_started, first):
            return None
        streak = streak._replace(pass_run=before.pass_run, pass_started=before.pass_started)
        if _is_older(before.fail_started, first):
            streak = streak._replace(fail_run=before.fail_run, fail_started=before.fail_started)
    if streak.decided is None and before.decided is not None:
        return None
    return streak


def _is_older(started: int | None, first: int) -> bool:
    return started is not None and started < first
