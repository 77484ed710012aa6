"""Figures a payload measured, and whether they are as good as the site's references ask.

A figure is recorded wherever a payload answers with one. It decides over a verdict only where the site file holds a
reference for it, and only in its bad direction: better than expected is never a failure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from dashboard_client.schema import CauseClass, Metric, Outcome, Record
from site_configs.schema import Reference


class OutOfReference(AssertionError):
    """A figure is worse than its reference allows. Whose fault that is, a figure alone cannot say."""

    cls = CauseClass.UNKNOWN
    rule = "out-of-reference"


class NotComparable(AssertionError):
    """A reference cannot be held against what was measured: another unit, or no such figure."""

    cls = CauseClass.SITE
    rule = "reference-unusable"


def measured(answer: Mapping[str, Any]) -> list[Metric]:
    """Return the figures of an answer: its list ``metrics``, in the record's own shape.

    Raises:
        ValueError: they are not in that shape, or one is no number, or its better direction is neither of the two.
    """
    try:
        metrics = msgspec.convert(answer.get("metrics", []), list[Metric])
    except msgspec.ValidationError as error:
        raise ValueError(f"metrics of the payload's answer: {error}") from error
    for metric in metrics:
        if metric.better not in ("lower", "higher") or not math.isfinite(metric.value):
            raise ValueError(f"metrics of the payload's answer: {metric}")
    return metrics


def applying(case_id: str, metrics: Sequence[Metric], references: Sequence[Reference]) -> dict[str, Reference]:
    """Return the reference for each figure that has one: of several that fit, the first in the file."""
    fitting = [each for each in references if _fits(case_id, each.cases)]
    found = ((metric.name, [each for each in fitting if each.metric == metric.name]) for metric in metrics)
    return {name: those[0] for name, those in found if those}


def compare(case_id: str, metrics: Sequence[Metric], references: Sequence[Reference]) -> None:
    """Hold every figure against its reference.

    Raises:
        OutOfReference: at least one is out of tolerance in its bad direction; the message gives each.
        NotComparable: a reference is in another unit, or names this very case and a figure that it did not give.
    """
    using = applying(case_id, metrics, references)
    for reference in references:
        if reference.cases == case_id and reference.metric not in {metric.name for metric in metrics}:
            given = ", ".join(metric.name for metric in metrics) or "none"
            message = f"the site's reference {reference.metric} is no figure of this case; it gave {given}"
            raise NotComparable(message)
    said = []
    for metric in metrics:
        wanted = using.get(metric.name)
        if wanted is None:
            continue
        if metric.unit != wanted.unit:
            message = f"{metric.name} is measured in {metric.unit}, the site's reference is in {wanted.unit}"
            raise NotComparable(message)
        said += _worse(metric, wanted)
    if said:
        raise OutOfReference("; ".join(said))


def unused(references: Sequence[Reference], case_ids: Collection[str], records: Iterable[Record]) -> Iterator[str]:
    """Say which references decided nothing though one would think so.

    ``case_ids`` are all cases that there are on the system, none where only some schedulers were looked at; of the
    records those count that passed.
    """
    figures = {
        record.case_id: {metric.name for metric in record.metrics}
        for record in records
        if record.verdict.outcome is Outcome.PASS
    }
    for reference in references:
        about = f"the site's reference {reference.metric} of {reference.cases!r}"
        if case_ids and not any(_fits(case_id, reference.cases) for case_id in case_ids):
            yield f"{about} fits no case on this system"
            continue
        given = [names for case_id, names in figures.items() if _fits(case_id, reference.cases)]
        if given and not any(reference.metric in names for names in given):
            named = ", ".join(sorted(set().union(*given))) or "no figure"
            yield f"{about} was held against nothing: what fits it gave {named}"


def bound(metric: Metric, wanted: Reference) -> tuple[str, float]:
    """Return the worst that a reference allows, and on which side of it a figure must be."""
    share = wanted.tolerance / 100
    if metric.better == "higher":
        return "at least", wanted.value * (1 - share)
    return "at most", wanted.value * (1 + share)


def holds(metric: Metric, wanted: Reference) -> bool | None:
    """Say whether a figure is as good as its reference asks; None where it is in another unit."""
    if metric.unit != wanted.unit:
        return None
    side, limit = bound(metric, wanted)
    return metric.value >= limit if side == "at least" else metric.value <= limit


def off(metric: Metric, wanted: Reference) -> str:
    """Say how far a figure is from its reference, in percent of that, and on which side."""
    share = metric.value / wanted.value - 1
    return f"{abs(share) * 100:.0f} % {'below' if share < 0 else 'above'}"


def _worse(metric: Metric, wanted: Reference) -> list[str]:
    """Say how a figure misses its reference; nothing where it does not."""
    if holds(metric, wanted):
        return []
    side, limit = bound(metric, wanted)
    return [
        f"{metric.name} is {metric.value:g} {metric.unit}, {off(metric, wanted)} the site's reference of "
        f"{wanted.value:g} {wanted.unit} with a tolerance of {wanted.tolerance:g} % ({side} {limit:g})"
    ]


def _fits(case_id: str, pattern: str) -> bool:
    return fnmatchcase(case_id, pattern) or fnmatchcase(case_id.partition("@")[0], pattern)
