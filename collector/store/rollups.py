"""The roll-ups: what pages read, kept right within the transaction that changes the facts behind it.

Everything here is a function of the facts alone, not of the order in which they came: a cell's history is what its
system's runs say of it from the oldest to the newest. A newer run is one step on; anything else is told anew.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, select, update

from collector.outcomes import MISSING, worst
from collector.store.bulk import among, insert_many, update_many
from collector.store.streaks import Say, Streak, is_flaky
from collector.store.tables import board, cells, plans, records, runs, systems

STREAK = tuple(cells.c[name] for name in Streak._fields)
DETAILS = (cells.c.last_record, cells.c.last_version, cells.c.last_emulated)

NO_DETAILS = (None, None, None)

TIERS = ("smoke", "integration", "scale")

_AT_ONCE = 500


@lru_cache(maxsize=256)
def parse_cells(packed: str) -> tuple[int, ...]:
    """Read a packed list of cell keys; plans repeat from run to run, so reading them is remembered."""
    return tuple(json.loads(packed))


@lru_cache(maxsize=256)
def positions(plan: str | None, extra: str) -> dict[int, int]:
    """Map each cell of a run to its place in the run's outcomes."""
    layout = (parse_cells(plan) if plan else ()) + parse_cells(extra)
    return {cell: place for place, cell in enumerate(layout)}


class Member(NamedTuple):
    """A cell among those that share its row of the board."""

    id: int
    subject: str
    component: str
    scheduler: str
    tier: str
    last_record: int | None
    last_version: str | None
    last_emulated: bool | None
    streak: Streak


def settle(connection: Connection, system: int, touched: Mapping[int, Iterable[int]], moved: bool = False) -> None:
    """Bring the history of cells up to date, and the board rows of their subjects.

    ``touched`` maps each run that changed to the cells it changed. ``moved`` says that a run that was known before may
    have another place in time or speak for other cells than it did: then everything is told from the beginning.
    """
    by_cell: dict[int, list[int]] = {}
    for run, some in touched.items():
        for cell in some:
            by_cell.setdefault(cell, []).append(run)
    if not by_cell:
        return
    words = {run.id: (run, positions(run.plan, run.extra)) for run in _runs(connection, system, sorted(touched))}
    members = {member.id: member for member in _members(connection, system, by_cell)}
    told: dict[int, Streak] = {}
    again: set[int] = set()
    for cell, some in by_cell.items():
        before = members[cell].streak
        say = None if moved or len(some) != 1 else _say(*words[some[0]], cell)
        if moved or len(some) != 1:
            again.add(cell)
        elif say is None or (say.run == before.last_run and say.outcome == before.last_outcome):
            told[cell] = before
        elif before.last_started is None or before.last_started < say.started:
            told[cell] = before.then(say)
        else:
            again.add(cell)
    if again:
        told |= retell(connection, system, again)
    found = details(connection, told)
    rows = []
    for cell, streak in sorted(told.items()):
        member, detail = members[cell], found.get(cell, NO_DETAILS)
        if streak != member.streak or detail != member[5:8]:
            members[cell] = Member._make((*member[:5], *detail, streak))
            rows.append((*streak, *detail, cell))
    update_many(connection, cells, (*STREAK, *DETAILS), rows)
    _write_board(connection, system, members.values(), {member.subject for member in members.values()})


def retell(connection: Connection, system: int, wanted: set[int]) -> dict[int, Streak]:
    """Tell the history of cells from the system's first run to its newest."""
    told = dict.fromkeys(wanted, Streak())
    for run in _runs(connection, system, None):
        places = positions(run.plan, run.extra)
        for cell in wanted & places.keys():
            say = _say(run, places, cell)
            if say is not None:
                told[cell] = told[cell].then(say)
    return told


def note_full_runs(connection: Connection, system: int) -> None:
    """Note when the newest complete, unrestricted run of each tier began; cells it left out leave the board."""
    closed = (runs.c.system == system, runs.c.state == "complete", runs.c.partial.is_(False))
    rows = connection.execute(select(runs.c.tier, func.max(runs.c.started)).where(*closed).group_by(runs.c.tier))
    newest: dict[str, int] = {tier: started for tier, started in rows if tier is not None}
    full: dict[str, int | None] = {}
    for rank, tier in enumerate(TIERS):
        begun = [newest[other] for other in TIERS[rank:] if other in newest]
        full[f"full_{tier}"] = max(begun) if begun else None
    before = connection.execute(select(systems).where(systems.c.id == system)).one()._mapping
    if any(before[name] != value for name, value in full.items()):
        connection.execute(update(systems).where(systems.c.id == system).values(**full))
        refresh_board(connection, system)


def _members(connection: Connection, system: int, touched: Iterable[int] | None) -> list[Member]:
    """Return the cells of a system, or of the subjects of some of its cells, in the order of their names."""
    columns = (cells.c.id, cells.c.subject, cells.c.component, cells.c.scheduler, cells.c.tier, *DETAILS, *STREAK)
    query = select(*columns).where(cells.c.system == system).order_by(cells.c.case_id)
    if touched is not None:
        of_these = select(cells.c.subject).where(among(connection, cells.c.id, touched)).distinct()
        query = query.where(among(connection, cells.c.subject, connection.execute(of_these).scalars()))
    return [Member._make((*row[:8], Streak._make(row[8:]))) for row in connection.execute(query)]


def _runs(connection: Connection, system: int, only: list[int] | None) -> Iterator[Any]:
    """Yield runs of a system with the text of their plans, the oldest first; all of them, or only some."""
    names = ("id", "started", "partial", "state", "stack", "extra", "outcomes")
    query = (
        select(*(runs.c[name] for name in names), plans.c.cells.label("plan"))
        .outerjoin(plans, plans.c.id == runs.c.plan)
        .where(runs.c.system == system)
        .order_by(runs.c.started, runs.c.run_id)
    )
    if only is None:
        yield from connection.execute(query.execution_options(yield_per=_AT_ONCE))
        return
    yield from connection.execute(query.where(among(connection, runs.c.id, only)))


def _say(run: Any, places: Mapping[int, int], cell: int) -> Say | None:
    """Return what a run says about a cell: an open one says nothing of what it still owes, nor does a partial one."""
    outcome = run.outcomes[places[cell]]
    if outcome == MISSING and (run.state is None or run.partial):
        return None
    return Say(run.id, run.started, outcome, run.stack)


def details(connection: Connection, told: Mapping[int, Streak]) -> dict[int, tuple[Any, ...]]:
    """Return key, version and kind of scheduler of the record that each latest outcome is from."""
    by_run: dict[int, list[int]] = {}
    for cell, streak in told.items():
        if streak.last_run is not None and streak.last_outcome != MISSING:
            by_run.setdefault(streak.last_run, []).append(cell)
    found: dict[int, tuple[Any, ...]] = {}
    for run, members in sorted(by_run.items()):
        wanted = set(members)
        query = (
            select(records.c.cell, records.c.id, records.c.version, records.c.emulated)
            .where(records.c.run == run, records.c.cell.between(min(members), max(members)))
            .order_by(records.c.cell, records.c.attempt)
        )
        found.update((row[0], tuple(row[1:])) for row in connection.execute(query) if row[0] in wanted)
    return found


def refresh_board(connection: Connection, system: int) -> None:
    """Write anew all board rows of a system."""
    _write_board(connection, system, _members(connection, system, None), None)


def _write_board(
    connection: Connection, system: int, members: Iterable[Member], subjects: Collection[str] | None
) -> None:
    """Write anew the board rows of subjects from all of their cells; None: of every subject of the system."""
    begun = (systems.c.full_smoke, systems.c.full_integration, systems.c.full_scale)
    full = dict(zip(TIERS, connection.execute(select(*begun).where(systems.c.id == system)).one(), strict=True))
    grouped: dict[str, list[Member]] = {}
    for member in members:
        started = member.streak.last_started
        if started is not None and started >= (full.get(member.tier) or started):
            grouped.setdefault(member.subject, []).append(member)
    gone = delete(board).where(board.c.system == system)
    if subjects is not None:
        gone = gone.where(among(connection, board.c.subject, sorted(subjects)))
    connection.execute(gone)
    insert_many(connection, board, [_board_row(system, *each) for each in sorted(grouped.items())])


def _begun(member: Member) -> int:
    return member.streak.last_started or 0


def _board_row(system: int, subject: str, members: Sequence[Member]) -> tuple[Any, ...]:
    """Return the columns of ``board``, in their order."""
    outcomes = "".join(member.streak.last_outcome or "" for member in members)
    shown = worst(outcomes)
    newest = max(members, key=_begun)
    culprit = max((member for member in members if member.streak.last_outcome == shown), key=_begun)
    versioned = [member for member in members if member.last_version is not None]
    nested = sorted({inner for member in members if (inner := member.scheduler.partition("+")[2])})
    return (
        system,
        subject,
        newest.component,
        shown,
        outcomes,
        newest.streak.last_started,
        culprit.streak.last_run,
        max(versioned, key=_begun).last_version if versioned else None,
        sum(bool(member.last_emulated) for member in members),
        sum(is_flaky(member.streak.turns) for member in members),
        ", ".join(nested)[:256] or None,
    )
