"""The result of a whole run: the counts that close it, and its exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

from dashboard_client.schema import CONTROL, Closing, Manifest, Outcome, Record, case_matches, deployment_label

AllowedSkips = Callable[[Record], bool] | Sequence[str]
"""The skips that a site accepts: shell patterns of case ids, or a predicate on the record."""


class Count(TypedDict):
    """Numbers of cases. ``recorded`` + ``missing`` = ``planned``; ``counts`` has an entry for every outcome."""

    planned: int
    recorded: int
    missing: int
    counts: dict[str, int]


def missing(manifest: Manifest, effective: Mapping[str, Record]) -> list[str]:
    """Return the planned cases that have no record, in the order of the plan."""
    return [planned.case_id for planned in manifest.planned if planned.case_id not in effective]


def count(manifest: Manifest, effective: Mapping[str, Record]) -> Count:
    """Count each case once, by its effective record (its highest attempt)."""
    by_outcome = Counter(record.verdict.outcome for record in effective.values())
    absent = len(missing(manifest, effective))
    return Count(
        planned=len(manifest.planned),
        recorded=len(manifest.planned) - absent,
        missing=absent,
        counts={outcome.value: by_outcome[outcome] for outcome in Outcome},
    )


def verdict_code(
    manifest: Manifest,
    effective: Mapping[str, Record],
    *,
    allowed_skips: AllowedSkips = ("*",),
    interrupted: bool | None = None,
) -> int:
    """Return the exit code of a run; the first row that applies decides.

    ====  =============================================================================================
    2     nothing was planned: the selection is empty
    130   the run was interrupted (by default, if the manifest's closing states this)
    1     a planned case has no record, or its last record is not final: another attempt was to follow
    1     a case failed or ended in an error
    1     a case was skipped for a reason that the site does not allow
    3     the infrastructure of the site prevented at least one case, and nothing worse happened
    1     only control cases passed although more was planned: the rest are skips and expected failures
    1     in one of several deployments nothing passed, in a run of all cases
    0     every planned case passed, was skipped for an allowed reason, or failed as expected
    ====  =============================================================================================

    An xpass is a pass: it does not fail the run. Reports list it, because its waiver is out of date.
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
    return 0 if count_passes(manifest, effective) and not without_passes(manifest, effective) else 1


def without_passes(manifest: Manifest, effective: Mapping[str, Record]) -> list[str]:
    """Return the labels of deployments in which nothing passed; none if the user selected some of the cases.

    A selection may be about a component that only one of the deployments contains.
    """
    if manifest.selection.partial:
        return []
    planned = [deployment_label(each.case_id) for each in manifest.planned if each.component != CONTROL]
    passed = {
        deployment_label(record.case_id)
        for record in effective.values()
        if record.case.component != CONTROL and record.verdict.outcome in (Outcome.PASS, Outcome.XPASS)
    }
    labels = list(dict.fromkeys(planned))
    return [label for label in labels if label not in passed] if len(labels) > 1 else []


def count_passes(manifest: Manifest, effective: Mapping[str, Record]) -> int:
    """Return the number of cases that passed, without control cases unless nothing else was planned."""
    others_planned = any(planned.component != CONTROL for planned in manifest.planned)
    return sum(
        record.verdict.outcome in (Outcome.PASS, Outcome.XPASS)
        for record in effective.values()
        if not others_planned or record.case.component != CONTROL
    )


def closing(
    manifest: Manifest,
    effective: Mapping[str, Record],
    *,
    ended: str,
    interrupted: bool = False,
    allowed_skips: AllowedSkips = ("*",),
) -> Closing:
    """Return the closing of a run; its sequence number is one higher than that of the previous closing."""
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
    return any(case_matches(record.case_id, pattern) for pattern in allowed)
