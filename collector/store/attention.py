"""Which cells need attention, and how the shares of passes developed, derived from the histories of cells.

A cell needs attention if it is current and does not pass; a skip is no reason. A cell that passes again is listed too,
as long as its history shows the failure.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Connection, Delete, Select, bindparam, delete, func, select, update

from collector.outcomes import PASS
from collector.store.bulk import among, among_parameter, insert_many, packed
from collector.store.members import Member
from collector.store.streaks import Streak, is_flaky
from collector.store.tables import attention, incidents, records, systems

FAILED = "fei."
"""The outcomes of cells that fail: fail, error, infra, missing."""

WAIVED = "xX"
"""The outcomes of cells with a known failure."""

NO_RECORD = "none"
"""The name in ``systems.failing_by`` of failing cells without a record, which have no fault class."""

SHARES = 14
"""The number of runs whose shares of passes are kept."""

NO_SHARE = "-"
_DIGITS = "0123456789"
ALL_PASSED = "A"

_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{7,}\b|\d+", re.IGNORECASE)


def failing_since(streak: Streak) -> int:
    """Return when a failure began: the first failure after the last pass, else the first of these equal outcomes."""
    if streak.fail_started is not None and streak.last_outcome in ("f", "e"):
        return streak.fail_started
    return streak.since_started or 0


def is_failing(streak: Streak) -> bool:
    """Return whether the latest outcome of a cell is a failure."""
    return streak.last_outcome in tuple(FAILED)


def has_recovered(streak: Streak) -> bool:
    """Return whether a cell passes now and its history shows a failure as the outcome before."""
    before = (streak.history or "").rstrip(PASS)
    return streak.last_outcome == PASS and before[-1:] in tuple(FAILED)


def recent_shares(histories: Iterable[str | None]) -> str:
    """Return the share of passes in each of the newest runs, one character a run, the oldest first.

    A digit is the share in tenths, rounded down; ``A`` means that every judged case passed; ``-`` that none was judged.
    Skips do not count.
    """
    kept = [(history or "")[-SHARES:].rjust(SHARES) for history in histories] or [" " * SHARES]
    return "".join(map(_share, zip(*kept, strict=True)))


def _share(outcomes: Sequence[str]) -> str:
    judged = len(outcomes) - outcomes.count("s") - outcomes.count(" ")
    passed = outcomes.count(PASS)
    return NO_SHARE if not judged else ALL_PASSED if passed == judged else _DIGITS[10 * passed // judged]


def write_attention(
    connection: Connection, system: int, members: Sequence[Member], subjects: Iterable[str] | None
) -> None:
    """Rewrite the rows of the given current cells; ``subjects``: their subjects, or None for all of the system.

    Most runs change none of the rows of their subjects; then nothing is written. Others change only which run is the
    latest; then the incidents stay as they are.
    """
    listed = [each for each in members if each.streak.last_outcome in (*FAILED, *WAIVED) or has_recovered(each.streak)]
    failed = [each.last_record for each in listed if each.last_record is not None and each.streak.last_outcome != PASS]
    causes: dict[int, Any] = {}
    if failed:
        columns = (records.c.id, records.c.cause, records.c.phase, records.c.rule, records.c.evidence)
        query = select(*columns, records.c.cause_key).where(among(connection, records.c.id, failed))
        causes = {row.id: row for row in connection.execute(query)}
    rows = [_row(system, each, causes.get(each.last_record or -1)) for each in listed]
    counted = False
    if subjects is None:
        connection.execute(delete(attention).where(attention.c.system == system))
    else:
        stored, outdated = _of_subjects(connection.dialect.name)
        values = {"of_system": system, "subjects": packed(connection, sorted(subjects))}
        before = [tuple(row) for row in connection.execute(stored, values).all()]
        if set(before) == set(rows):
            return
        counted = Counter(map(_counted, before)) == Counter(map(_counted, rows))
        connection.execute(outdated, values)
    insert_many(connection, attention, rows)
    if not counted:
        note_failing(connection, system)


@cache
def _of_subjects(dialect: str) -> tuple[Select[Any], Delete]:
    """Return the statements that read and that delete the rows of some subjects of a system."""
    of_system = attention.c.system == bindparam("of_system")
    place = (of_system, among_parameter(dialect, attention.c.subject, "subjects"))
    return select(attention).where(*place), delete(attention).where(*place)


def note_failing(connection: Connection, system: int) -> None:
    """Store the incidents of a system, how many of its cells fail, by fault class, and when the newest began to."""
    of_system = {"of_system": system}
    rows = connection.execute(_grouped(), of_system).all()
    connection.execute(_incidents(), of_system)
    insert_many(connection, incidents, [(system, since, bool(passes), *rest) for since, passes, *rest in rows])
    counts: Counter[str] = Counter()
    for _, passes, cause, _, _, number in rows:
        counts.update({} if passes else {cause or NO_RECORD: number})
    values = {
        "failing": counts.total(),
        "newest_failure": max((row[0] for row in rows if not row[1]), default=None),
        "failing_by": ", ".join(f"{cause} {number}" for cause, number in sorted(counts.items())) or None,
    }
    connection.execute(update(systems).where(systems.c.id == system).values(**values))


@cache
def _grouped() -> Select[Any]:
    """Return the query that counts the cells of a system which fail, or pass again, by what makes an incident."""
    table = attention.c
    cause, version = func.coalesce(table.cause, ""), func.coalesce(table.version, "")
    keys = (table.since, table.outcome == PASS, cause, table.component, version)
    of_system = (table.system == bindparam("of_system"), table.outcome.in_([*FAILED, PASS]))
    return select(*keys, func.count()).where(*of_system).group_by(*keys)


@cache
def _incidents() -> Delete:
    return delete(incidents).where(incidents.c.system == bindparam("of_system"))


_NAMES = [column.name for column in attention.c]
_COUNTED = tuple(map(_NAMES.index, ("since", "outcome", "cause", "component", "version")))


def _counted(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return the columns of a row that ``note_failing`` counts."""
    return tuple(row[place] for place in _COUNTED)


@lru_cache(maxsize=4096)
def parse_failing(text: str) -> Mapping[str, int]:
    """Return the number of failing cells by fault class from ``systems.failing_by``; "" for cells without a record."""
    pairs = (part.rsplit(" ", 1) for part in text.split(", "))
    return {"" if cause == NO_RECORD else cause: int(number) for cause, number in pairs}


def _row(system: int, member: Member, cause: Any) -> tuple[Any, ...]:
    """Return the columns of ``attention``, in their order."""
    streak = member.streak
    passed = streak.last_outcome == PASS
    return (
        member.id,
        system,
        member.component,
        member.subject,
        member.scheduler,
        streak.last_outcome,
        streak.since_started if passed else failing_since(streak),
        streak.last_run,
        member.last_version,
        bool(member.last_emulated),
        is_flaky(streak.turns),
        cause.cause if cause is not None else None,
        "" if passed else key_of_cause(streak.last_outcome or "", cause),
    )


def key_of_cause(outcome: str, cause: Any) -> str:
    """Return the cause key of a record, or a digest of what it states if it has none; numbers in evidence vary."""
    if cause is None:
        return "no-record"
    if cause.cause_key is not None:
        return str(cause.cause_key)
    return _digest_of_cause(outcome, cause.cause or "", cause.phase or "", cause.rule or "", cause.evidence or "")


@lru_cache(maxsize=4096)
def _digest_of_cause(*parts: str) -> str:
    *kinds, evidence = parts
    text = "\0".join([*kinds, _VARYING.sub("#", evidence)[:120]])
    return f"like-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
