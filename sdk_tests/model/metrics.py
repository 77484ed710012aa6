"""The figures that payloads measure, and their comparison with the references of the site file.

Every figure in a payload's answer is recorded. A figure affects the verdict only if the site file has a reference for
it, and only if it is worse than the reference allows: a figure that is better than expected is never a failure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from dashboard_client.schema import IN, CauseClass, Metric, Outcome, Record, case_matches
from site_configs.schema import Reference


class OutOfReference(AssertionError):
    """A figure is worse than its reference allows. The figure alone does not show whose fault that is."""

    cls = CauseClass.UNKNOWN
    rule = "out-of-reference"


class NotComparable(AssertionError):
    """A reference cannot be compared with the figures of a case: its unit differs, or the case has no such figure."""

    cls = CauseClass.SITE
    rule = "reference-unusable"


def answer_metrics(answer: Mapping[str, Any]) -> list[Metric]:
    """Return the figures in a payload's answer: the list ``metrics``, in the shape that the record schema defines.

    Raises:
        ValueError: the list has another shape, a value is not finite, or ``better`` is not ``lower`` or ``higher``.
    """
    try:
        metrics = msgspec.convert(answer.get("metrics", []), list[Metric])
    except msgspec.ValidationError as error:
        raise ValueError(f"metrics of the payload's answer: {error}") from error
    for metric in metrics:
        if metric.better not in ("lower", "higher") or not math.isfinite(metric.value):
            raise ValueError(f"metrics of the payload's answer: {metric}")
    return metrics


def applicable_references(
    case_id: str, metrics: Sequence[Metric], references: Sequence[Reference]
) -> dict[str, Reference]:
    """Return the reference of each figure that has one, by figure name; the first match in the file is used."""
    applicable: dict[str, Reference] = {}
    for metric in metrics:
        matches = (each for each in references if each.metric == metric.name and _matches(case_id, each.cases))
        first = next(matches, None)
        if first is not None:
            applicable[metric.name] = first
    return applicable


def compare(case_id: str, metrics: Sequence[Metric], references: Sequence[Reference]) -> None:
    """Compare every figure with its reference.

    Raises:
        OutOfReference: at least one figure is worse than its tolerance allows; the message names each of them.
        NotComparable: a reference has another unit, or it names exactly this case and a figure that is not reported.
    """
    applicable = applicable_references(case_id, metrics, references)
    for reference in references:
        named = reference.cases in (case_id, case_id.partition(IN)[0])
        if named and reference.metric not in {metric.name for metric in metrics}:
            reported = ", ".join(metric.name for metric in metrics) or "none"
            message = (
                f"the site file has a reference for {reference.metric}, but this case did not report that figure; "
                f"it reported {reported}"
            )
            raise NotComparable(message)
    deviations = []
    for metric in metrics:
        wanted = applicable.get(metric.name)
        if wanted is None:
            continue
        if metric.unit != wanted.unit:
            message = (
                f"{metric.name} is measured in {metric.unit}, but the site's reference for it is in {wanted.unit}: "
                f"change the unit in the site file"
            )
            raise NotComparable(message)
        if not meets_reference(metric, wanted):
            deviations.append(_describe_deviation(metric, wanted))
    if deviations:
        raise OutOfReference("; ".join(deviations))


def unused_references(
    references: Sequence[Reference], case_ids: Collection[str], records: Iterable[Record]
) -> Iterator[str]:
    """Yield one warning for each reference that was compared with no figure, probably because of a wrong name.

    case_ids: all cases that exist on the system; empty where only some of its schedulers were planned. records: the
    records of the run; only those of passed cases are used.
    """
    figures = {
        record.case_id: {metric.name for metric in record.metrics}
        for record in records
        if record.verdict.outcome is Outcome.PASS
    }
    for reference in references:
        subject = f"the site's reference {reference.metric} of {reference.cases!r}"
        if case_ids and not any(_matches(case_id, reference.cases) for case_id in case_ids):
            yield f"{subject} matches no case on this system"
            continue
        matching = [names for case_id, names in figures.items() if _matches(case_id, reference.cases)]
        if matching and not any(reference.metric in names for names in matching):
            reported = ", ".join(sorted(set().union(*matching))) or "no figure"
            yield f"{subject} was not used: the cases that it matches reported {reported}"


def allowed_limit(metric: Metric, reference: Reference) -> tuple[str, float]:
    """Return the worst value that a reference allows, after ``at least`` or ``at most``."""
    share = reference.tolerance / 100
    if metric.better == "higher":
        return "at least", reference.value * (1 - share)
    return "at most", reference.value * (1 + share)


def meets_reference(metric: Metric, reference: Reference) -> bool | None:
    """Return whether a figure is as good as its reference requires; None if the units differ."""
    if metric.unit != reference.unit:
        return None
    side, limit = allowed_limit(metric, reference)
    return metric.value >= limit if side == "at least" else metric.value <= limit


def deviation(metric: Metric, reference: Reference) -> str:
    """Return how far a figure is from its reference, such as ``20 % below``, in percent of the reference."""
    share = metric.value / reference.value - 1
    return f"{abs(share) * 100:.0f} % {'below' if share < 0 else 'above'}"


def _describe_deviation(metric: Metric, reference: Reference) -> str:
    side, limit = allowed_limit(metric, reference)
    return (
        f"{metric.name} is {metric.value:g} {metric.unit}, {deviation(metric, reference)} the site's reference of "
        f"{reference.value:g} {reference.unit} with a tolerance of {reference.tolerance:g} % ({side} {limit:g})"
    )


def _matches(case_id: str, pattern: str) -> bool:
    return case_matches(case_id, pattern) or fnmatchcase(case_id.partition("@")[0], pattern)
