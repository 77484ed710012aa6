"""The roll-ups that the pages read, updated in the transaction that changes their facts.

The roll-ups depend on the facts only, not on the order in which they arrived: the history of a cell follows from the
runs of its system, from the oldest to the newest. A run that is newer than all others extends the history by one step.
A change further back is joined to it (``collector.store.late``). Only if a run gets another start or other cells, the
history is recomputed from the first run on.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, Connection, Delete, Select, bindparam, delete, func, select, update

from collector.outcomes import MISSING, worst
from collector.remembered import remembered
from collector.store.attention import FAILED, failing_since, is_failing, recent_shares, write_attention
from collector.store.bulk import among_parameter, insert_many, packed, update_many
from collector.store.late import late_streaks
from collector.store.members import Member
from collector.store.streaks import Observation, Streak, is_flaky
from collector.store.tables import board, cells, plans, records, runs, systems

STREAK = tuple(cells.c[name] for name in Streak._fields)
DETAILS = (cells.c.last_record, cells.c.last_version, cells.c.last_emulated)

NO_DETAILS = (None, None, None)

TIERS = ("smoke", "integration", "scale")

_FETCH_ROWS = 500

PLANS = 2_000_000
"""The length of all plans whose cells are remembered, in characters; each needs some fifteen times as many bytes."""


@remembered(PLANS)
def parse_cells(layout: str) -> tuple[int, ...]:
    """Parse a JSON list of cell keys; remembered, because most runs of a system have the same plan."""
    return tuple(json.loads(layout))


@remembered(PLANS)
def positions(plan: str | None, extra: str) -> dict[int, int]:
    """Map each cell of a run to its position in the run's outcomes."""
    layout = (parse_cells(plan) if plan else ()) + parse_cells(extra)
    return {cell: position for position, cell in enumerate(layout)}


def is_open(run: Any) -> bool:
    """Return whether a run may still report: it is neither closed nor overdue."""
    return run.state is None and not run.overdue


def state_of(run: Any) -> str:
    """Return the state of a run by its name: complete or interrupted, or else open or overdue."""
    return run.state or ("overdue" if run.overdue else "open")


def update_rollups(
    connection: Connection, system: int, touched: Mapping[int, Iterable[int]], moved: bool = False
) -> None:
    """Update the history of cells and the board rows of their subjects.

    ``touched`` maps each changed run to the cells that it changed. ``moved``: a known run may have another start or
    other cells than before, so that the histories of all touched cells are recomputed.
    """
    by_cell: dict[int, list[int]] = {}
    for run, changed_cells in touched.items():
        for cell in changed_cells:
            by_cell.setdefault(cell, []).append(run)
    if not by_cell:
        return
    changed = {run.id: (run, positions(run.plan, run.extra)) for run in _runs(connection, system, sorted(touched))}
    members = {member.id: member for member in _members(connection, system, by_cell)}
    streaks: dict[int, Streak] = {}
    recomputed: set[int] = set()
    for cell, cell_runs in by_cell.items():
        before = members[cell].streak
        new = None if moved or len(cell_runs) != 1 else _observation(*changed[cell_runs[0]], cell)
        if moved or len(cell_runs) != 1:
            recomputed.add(cell)
        elif new is None or (new.run == before.last_run and new.outcome == before.last_outcome):
            streaks[cell] = before
        elif before.last_started is None or before.last_started < new.started:
            streaks[cell] = before.extended(new)
        else:
            recomputed.add(cell)
    if moved:
        streaks |= recompute_streaks(connection, system, recomputed)
    elif recomputed:
        changes = {cell: len(by_cell[cell]) for cell in recomputed}
        oldest = min(changed[run][0].started for cell in recomputed for run in by_cell[cell])
        stored = {cell: members[cell].streak for cell in recomputed}
        streaks |= late_streaks(connection, _runs_query(system), stored, changes, oldest, _observed)
    latest = details(connection, streaks)
    rows = []
    for cell, streak in sorted(streaks.items()):
        member, detail = members[cell], latest.get(cell, NO_DETAILS)
        if streak != member.streak or detail != member[5:8]:
            members[cell] = Member._make((*member[:5], *detail, member.imported, streak))
            rows.append((*streak, *detail, cell))
    update_many(connection, cells, (*STREAK, *DETAILS), rows)
    _write_board(connection, system, members.values(), {member.subject for member in members.values()})


def recompute_streaks(connection: Connection, system: int, wanted: set[int]) -> dict[int, Streak]:
    """Recompute the history of cells from the first run of the system to the newest."""
    streaks = dict.fromkeys(wanted, Streak())
    for run in _runs(connection, system, None):
        cell_positions = positions(run.plan, run.extra)
        for cell in wanted & cell_positions.keys():
            observation = _observation(run, cell_positions, cell)
            if observation is not None:
                streaks[cell] = streaks[cell].extended(observation)
    return streaks


def note_full_runs(connection: Connection, system: int) -> None:
    """Store the start of the newest complete, unrestricted run of each tier.

    Cells that this run does not plan are removed from the board, and so are all cells that last ran before the system
    was retired.
    """
    closed = (runs.c.system == system, runs.c.state == "complete", runs.c.partial.is_(False))
    rows = connection.execute(select(runs.c.tier, func.max(runs.c.started)).where(*closed).group_by(runs.c.tier))
    newest: dict[str, int] = {tier: started for tier, started in rows if tier is not None}
    full: dict[str, int | None] = {}
    before = connection.execute(select(systems).where(systems.c.id == system)).one()._mapping
    retired = [] if before["retired"] is None else [before["retired"]]
    for rank, tier in enumerate(TIERS):
        starts = [newest[other] for other in TIERS[rank:] if other in newest] + retired
        full[f"full_{tier}"] = max(starts) if starts else None
    if any(before[name] != value for name, value in full.items()):
        connection.execute(update(systems).where(systems.c.id == system).values(**full))
        refresh_board(connection, system)


def _members(connection: Connection, system: int, touched: Iterable[int] | None) -> list[Member]:
    """Return the cells of a system in the order of their names; with ``touched``, only those of the same subjects."""
    dialect, values = connection.dialect.name, {"of_system": system}
    if touched is None:
        rows = connection.execute(_members_query(dialect, True), values).all()
    else:  # two queries: as one, PostgreSQL may plan it without statistics as a loop over all pairs of cells
        subjects = connection.execute(_subjects_query(dialect), {"touched": packed(connection, touched)}).scalars()
        rows = connection.execute(
            _members_query(dialect, False), {**values, "subjects": packed(connection, subjects)}
        ).all()
    return [Member._make((*row[:9], Streak._make(row[9:]))) for row in rows]


@cache
def _subjects_query(dialect: str) -> Select[Any]:
    return select(cells.c.subject).where(among_parameter(dialect, cells.c.id, "touched")).distinct()


@cache
def _members_query(dialect: str, whole: bool) -> Select[Any]:
    named = (cells.c[name] for name in ("id", "subject", "component", "scheduler", "tier"))
    query = select(*named, *DETAILS, cells.c.imported, *STREAK).order_by(cells.c.case_id)
    query = query.where(cells.c.system == bindparam("of_system"))
    return query if whole else query.where(among_parameter(dialect, cells.c.subject, "subjects"))


def _runs(connection: Connection, system: int, only: list[int] | None) -> Iterator[Any]:
    """Yield runs of a system with their plans, the oldest first; with ``only``, the runs with these keys."""
    if only is None:
        yield from connection.execute(_runs_query(system).execution_options(yield_per=_FETCH_ROWS))
        return
    values = {"of_system": system, "only": packed(connection, only)}
    yield from connection.execute(_some_runs_query(connection.dialect.name), values).all()


@cache
def _some_runs_query(dialect: str) -> Select[Any]:
    return _runs_query(bindparam("of_system")).where(among_parameter(dialect, runs.c.id, "only"))


def _runs_query(system: int | BindParameter[int]) -> Select[Any]:
    names = ("id", "started", "partial", "state", "overdue", "stack", "extra", "outcomes")
    return (
        select(*(runs.c[name] for name in names), plans.c.cells.label("plan"))
        .outerjoin(plans, plans.c.id == runs.c.plan)
        .where(runs.c.system == system)
        .order_by(runs.c.started, runs.c.run_id)
    )


def _observed(run: Any, cell: int) -> Observation | None:
    cell_positions = positions(run.plan, run.extra)
    return _observation(run, cell_positions, cell) if cell in cell_positions else None


def _observation(run: Any, cell_positions: Mapping[int, int], cell: int) -> Observation | None:
    """Return the outcome of a cell in a run; None for a missing one while the run is open, or if it is partial.

    A partial run that was closed has been restricted or stopped by its user. One that was never closed has died.
    """
    outcome = run.outcomes[cell_positions[cell]]
    if outcome == MISSING and (is_open(run) or (run.partial and not run.overdue)):
        return None
    return Observation(run.id, run.started, outcome, run.stack)


def details(connection: Connection, streaks: Mapping[int, Streak]) -> dict[int, tuple[Any, ...]]:
    """Return the columns ``DETAILS`` of cells: key, version and emulation of the record of each latest outcome."""
    by_run: dict[int, list[int]] = {}
    for cell, streak in streaks.items():
        if streak.last_run is not None and streak.last_outcome != MISSING:
            by_run.setdefault(streak.last_run, []).append(cell)
    values: dict[int, tuple[Any, ...]] = {}
    for run, members in sorted(by_run.items()):
        wanted = set(members)
        query = _details_query(), {"run": run, "first": min(members), "last": max(members)}
        values.update((cell, tuple(rest)) for cell, *rest in connection.execute(*query).all() if cell in wanted)
    return values


@cache
def _details_query() -> Select[Any]:
    of_run = select(records.c.cell, records.c.id, records.c.version, records.c.emulated)
    of_run = of_run.where(records.c.run == bindparam("run"))
    some = of_run.where(records.c.cell.between(bindparam("first"), bindparam("last")))
    return some.order_by(records.c.cell, records.c.attempt)


def refresh_board(connection: Connection, system: int) -> None:
    """Rewrite all board rows of a system."""
    _write_board(connection, system, _members(connection, system, None), None)


def _write_board(
    connection: Connection, system: int, members: Iterable[Member], subjects: Collection[str] | None
) -> None:
    """Rewrite the board rows of subjects from all of their cells. ``subjects``: None for every subject."""
    full = dict(zip(TIERS, connection.execute(_full_runs_query(), {"of_system": system}).one(), strict=True))
    grouped: dict[str, list[Member]] = {}
    for member in members:
        started = member.streak.last_started
        if started is not None and started >= (full.get(member.tier) or started):
            grouped.setdefault(member.subject, []).append(member)
    values: dict[str, Any] = {"of_system": system}
    if subjects is not None:
        values["subjects"] = packed(connection, sorted(subjects))
    deleted = connection.execute(_outdated(connection.dialect.name, subjects is None), values).rowcount
    insert_many(connection, board, [board_row(system, *each) for each in sorted(grouped.items())])
    if subjects is None or deleted != len(grouped):
        tiles = select(func.count()).where(board.c.system == system).scalar_subquery()
        connection.execute(update(systems).where(systems.c.id == system).values(tiles=tiles))
    write_attention(connection, system, [member for some in grouped.values() for member in some], subjects)


@cache
def _full_runs_query() -> Select[Any]:
    return select(*(systems.c[f"full_{tier}"] for tier in TIERS)).where(systems.c.id == bindparam("of_system"))


@cache
def _outdated(dialect: str, whole: bool) -> Delete:
    """Return the statement that deletes the board rows of a system, all of them or those of some subjects."""
    outdated = delete(board).where(board.c.system == bindparam("of_system"))
    return outdated if whole else outdated.where(among_parameter(dialect, board.c.subject, "subjects"))


def _start(member: Member) -> int:
    return member.streak.last_started or 0


def board_row(system: int, subject: str, members: Sequence[Member]) -> tuple[Any, ...]:
    """Return the columns of ``board``, in their order."""
    outcomes = "".join(member.streak.last_outcome or "" for member in members)
    displayed = worst(outcomes)
    newest = max(members, key=_start)
    worst_member = max((member for member in members if member.streak.last_outcome == displayed), key=_start)
    versioned = [member for member in members if member.last_version is not None]
    nested = sorted({inner for member in members if (inner := member.scheduler.partition("+")[2])})
    return (
        system,
        subject,
        newest.component,
        displayed,
        outcomes,
        newest.streak.last_started,
        worst_member.streak.last_run,
        max(versioned, key=_start).last_version if versioned else None,
        sum(bool(member.last_emulated) for member in members),
        sum(is_flaky(member.streak.turns) for member in members),
        ", ".join(nested)[:256] or None,
        recent_shares(member.streak.history for member in members),
        _began(displayed, members),
        max((failing_since(each.streak) for each in members if is_failing(each.streak)), default=None),
        all(member.imported for member in members),
    )


def _began(displayed: str, members: Sequence[Member]) -> int | None:
    """Return when the displayed outcome of a group began: with the first failure, or with the last change."""
    shown = [member for member in members if member.streak.last_outcome == displayed]
    if displayed in tuple(FAILED):
        return min((failing_since(member.streak) for member in shown), default=None)
    return max((member.streak.since_started or 0 for member in shown), default=None)
