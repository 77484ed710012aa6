"""What a whole run came to: the counts that close it and the exit code they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypedDict

from dashboard_client.schema import CONTROL, Closing, Manifest, Outcome, Record

AllowedSkips = Callable[[Record], bool] | Sequence[str]
"""Which skips a site accepts: shell patterns of case ids, or a predicate on the record."""


class Count(TypedDict):
    """``recorded`` and ``missing`` add up to ``planned``; ``counts`` has one entry an outcome, zeros too."""

    planned: int
    recorded: int
    missing: int
    counts: dict[str, int]


def missing(manifest: Manifest, effective: Mapping[str, Record]) -> list[str]:
    """Return the planned cases that have no record, in the order of the plan."""
    return [planned.case_id for planned in manifest.planned if planned.case_id not in effective]


def count(manifest: Manifest, effective: Mapping[str, Record]) -> Count:
    """Count each case once, by its effective record (its highest attempt)."""
    seen = Counter(record.verdict.outcome for record in effective.values())
    absent = len(missing(manifest, effective))
    return Count(
        planned=len(manifest.planned),
        recorded=len(manifest.planned) - absent,
        missing=absent,
        counts={outcome.value: seen[outcome] for outcome in Outcome},
    )


def verdict_code(
    manifest: Manifest,
    effective: Mapping[str, Record],
    *,
    allowed_skips: AllowedSkips = ("*",),
    interrupted: bool | None = None,
) -> int:
    """Return the run's exit code; the first row that holds decides.

    ====  =============================================================================================
    2     nothing was planned: the selection is empty
    130   the run was interrupted (by default, as the manifest's closing says)
    1     a planned case is missing, or its last record says that another attempt is owed
    1     a case failed or ended in an error
    1     a case was skipped for a reason the site does not allow
    3     at least one case met the site's infrastructure, and nothing worse happened
    1     nothing passed but controls where more was planned: the rest are skips and expected failures
    0     everything planned passed, or was skipped for an allowed reason, or failed as it is known to
    ====  =============================================================================================

    An xpass is a pass: it does not fail the run, but whoever prints the run lists it, since its waiver is out of date.
    """
    if not manifest.planned:
        return 2
    if interrupted is None:
        interrupted = manifest.closed is not None and manifest.closed.state == "interrupted"
    if interrupted:
        return 130
    records = effective.values()
    if missing(manifest, effective) or not all(record.retries.final for record in records):
        return 1
    outcomes = {record.verdict.outcome for record in records}
    if outcomes & {Outcome.FAIL, Outcome.ERROR}:
        return 1
    if not all(_allowed(record, allowed_skips) for record in records if record.verdict.outcome is Outcome.SKIP):
        return 1
    if Outcome.INFRA in outcomes:
        return 3
    return 0 if proven(manifest, effective) else 1


def proven(manifest: Manifest, effective: Mapping[str, Record]) -> int:
    """Count the cases that passed, without controls unless nothing else was planned."""
    more = any(planned.component != CONTROL for planned in manifest.planned)
    return sum(
        record.verdict.outcome in (Outcome.PASS, Outcome.XPASS)
        for record in effective.values()
        if not more or record.case.component != CONTROL
    )


def closing(
    manifest: Manifest,
    effective: Mapping[str, Record],
    *,
    ended: str,
    interrupted: bool = False,
    allowed_skips: AllowedSkips = ("*",),
) -> Closing:
    """Make the count that closes this run, one further in sequence than the last time it was closed."""
    counted = count(manifest, effective)
    return Closing(
        sequence=1 if manifest.closed is None else manifest.closed.sequence + 1,
        state="interrupted" if interrupted else "complete",
        ended=ended,
        planned=counted["planned"],
        recorded=counted["recorded"],
        missing=counted["missing"],
        counts=counted["counts"],
        exit_code=verdict_code(manifest, effective, allowed_skips=allowed_skips, interrupted=interrupted),
    )


def _allowed(record: Record, allowed: AllowedSkips) -> bool:
    if callable(allowed):
        return allowed(record)
    return any(fnmatchcase(record.case_id, pattern) for pattern in allowed)
