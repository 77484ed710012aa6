"""Figures that cases measured, each beside the site's reference for it and whether it holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from dashboard_client.schema import Metric, Record
from sdk_tests.model.metrics import bound, holds, off
from sdk_tests.report.view import Line, View
from site_configs.schema import Reference


@dataclass(frozen=True)
class Figure:
    """One figure in words. ``kept`` says whether it is as good as its reference asks: None where nobody can say."""

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
    """Say a value as it was measured, to four digits; thousands in full, set apart."""
    return f"{value:,.0f} {unit}" if abs(value) >= 1000 else f"{value:.4g} {unit}"


def _figure(metric: Metric, record: Record) -> Figure:
    """Put a figure beside the reference that is on record with it."""
    plain = Figure(metric.name, quantity(metric.value, metric.unit), metric.better)
    wanted = _reference(metric.name, record)
    if wanted is None:
        return plain
    side, limit = bound(metric, wanted)
    kept = holds(metric, wanted)
    verdict = {
        True: "holds",
        False: f"misses, {off(metric, wanted)}",
        None: "another unit: not compared",
    }
    sign = "-" if side == "at least" else "+"
    held = f"{quantity(wanted.value, wanted.unit)} {sign} {wanted.tolerance:g} %: {side} {quantity(limit, wanted.unit)}"
    return replace(plain, reference=held, kept=kept, verdict=verdict[kept])


def _reference(name: str, record: Record) -> Reference | None:
    """Read what the figure was held against; ``extras`` is free, so what is not a reference is none."""
    held = record.extras.get("references")
    try:
        return msgspec.convert(held[name], Reference) if isinstance(held, dict) and name in held else None
    except msgspec.ValidationError:
        return None
