"""The figures that cases measured, each with the site's reference and whether the figure meets it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from dashboard_client.schema import Metric, Record
from sdk_tests.model.metrics import allowed_limit, deviation, meets_reference
from sdk_tests.report.view import Line, View
from site_configs.schema import Reference


@dataclass(frozen=True)
class Figure:
    """One figure as text. ``kept``: whether it meets its reference; None without a comparable reference."""

    name: str
    value: str
    better: str
    reference: str = ""
    kept: bool | None = None
    verdict: str = ""


def figures(run: View) -> list[tuple[Line, list[Figure]]]:
    """Return the figures of each case that measured any, in planned order."""
    measured = [(line, line.record) for line in run.lines if line.record]
    return [(line, [_figure(each, record) for each in record.metrics]) for line, record in measured if record.metrics]


def quantity(value: float, unit: str) -> str:
    """Write a measured value with four significant digits; from 1,000 on as a whole number."""
    return f"{value:,.0f} {unit}" if abs(value) >= 1000 else f"{value:.4g} {unit}"


def _figure(metric: Metric, record: Record) -> Figure:
    """Compare a figure with the reference in its record."""
    figure = Figure(metric.name, quantity(metric.value, metric.unit), metric.better)
    wanted = _reference(metric.name, record)
    if wanted is None:
        return figure
    side, limit = allowed_limit(metric, wanted)
    kept = meets_reference(metric, wanted)
    verdict = {
        True: "meets the reference",
        False: f"does not meet it: {deviation(metric, wanted)}",
        None: "not compared: another unit",
    }
    sign = "-" if side == "at least" else "+"
    reference = (
        f"{quantity(wanted.value, wanted.unit)} {sign} {wanted.tolerance:g} %: {side} {quantity(limit, wanted.unit)}"
    )
    return replace(figure, reference=reference, kept=kept, verdict=verdict[kept])


def _reference(name: str, record: Record) -> Reference | None:
    """Return the reference of a figure; ``extras`` has no fixed form, so an invalid reference is ignored."""
    references = record.extras.get("references")
    try:
        return (
            msgspec.convert(references[name], Reference)
            if isinstance(references, dict) and name in references
            else None
        )
    except msgspec.ValidationError:
        return None
