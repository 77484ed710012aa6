"""Plots as inline SVG: lines and bars over days, with labelled axes; without scripts and without inline styles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup

from collector.limits import MAX_VALUE

LARGE = 1e15
"""From this value on, a number is written with an exponent."""

WIDTH, HEIGHT = 440, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 8, 20
TABLED = 14
"""The number of days in the table of a plot; the JSON of the page has all values."""

KEYS = tuple(f"{colour}{dash}" for dash in ("", " dash") for colour in "abcd")
"""CSS classes: four colours, each with a solid and a dashed line."""

Scale = Callable[[float], float]


@dataclass(frozen=True)
class Series:
    """One line or set of bars: its name, and the values by day (days since 1970); a day may have none."""

    name: str
    values: Sequence[tuple[int, float]]


def plot(title: str, unit: str, series: Sequence[Series], first: int, last: int, bars: bool = False) -> Markup:
    """Draw series over days (days since 1970) as a figure; the values themselves are in the JSON of the page."""
    measured = [each for each in map(_drawable, series) if each.values]
    drawn = measured[: len(KEYS)]
    more = f"; {len(measured) - len(drawn)} more are not drawn" if len(measured) > len(drawn) else ""
    caption = Markup("<figcaption><b>{}</b> <span class=quiet>{}{}</span></figcaption>").format(title, unit, more)
    if not drawn:
        return Markup("<figure>{}<p class=quiet>Nothing was measured.</p></figure>").format(caption)
    stacked: dict[int, float] = {}
    for day, value in (pair for each in drawn for pair in each.values):
        stacked[day] = stacked.get(day, 0.0) + value if bars else max(stacked.get(day, 0.0), value)
    top = nice(max(stacked.values()))
    stacked.clear()
    span = max(last - first, 1)

    def x(day: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (day - first) / span

    def y(value: float) -> float:
        return min(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top, 2.0 * HEIGHT)

    parts = []
    for share in (0, 0.5, 1):
        at, label = y(top * share), figure(top * share)
        parts.append(f'<path class="axis" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">{label}</text>')
    for day, anchor in ((first, "start"), ((first + last) // 2, "middle"), (last, "end")):
        when = date(1970, 1, 1) + timedelta(days=day)
        parts.append(f'<text x="{x(day):.1f}" y="{HEIGHT - 5}" text-anchor="{anchor}">{when.day} {when:%b}</text>')
    for key, each in zip(KEYS, drawn, strict=False):
        parts.append(_bars(each, key, x, y, span, stacked) if bars else _line(each, key, x, y))
    latest = "; ".join(f"{each.name} {figure(each.values[-1][1])} {unit} at the end" for each in drawn)
    head = Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}: {}">').format(
        WIDTH, HEIGHT, title, latest
    )
    keys = Markup("").join(
        Markup('<li class="{}">{}</li>').format(key, each.name) for key, each in zip(KEYS, drawn, strict=False)
    )
    legend = Markup('<ul class="keys">{}</ul>').format(keys) if len(drawn) > 1 or drawn[0].name else Markup("")
    drawing = Markup("".join(parts))  # noqa: S704 made of numbers and of classes of this module
    return Markup("<figure>{}{}{}</svg>{}{}</figure>").format(caption, head, drawing, legend, _table(title, drawn))


def _table(title: str, drawn: Sequence[Series]) -> Markup:
    """Return the newest values of a plot as a folded table, for those who cannot see it."""
    by_day: dict[int, dict[str, float]] = {}
    for each in drawn:
        for day, value in each.values[-TABLED:]:
            by_day.setdefault(int(day), {})[each.name] = value
    days = sorted(by_day, reverse=True)[:TABLED]
    head = Markup("").join(Markup("<th scope=col>{}</th>").format(each.name or title) for each in drawn)
    rows = Markup("").join(
        Markup("<tr><th scope=row>{}</th>{}</tr>").format(
            date(1970, 1, 1) + timedelta(days=day),
            Markup("").join(
                Markup("<td class=num>{}</td>").format(figure(by_day[day].get(each.name))) for each in drawn
            ),
        )
        for day in days
    )
    return Markup(
        '<details><summary>Newest values</summary><div class="scroll" role="region" aria-label="Values: {}" '
        "tabindex=0><table class=values><thead><tr><th scope=col>day</th>{}</tr></thead><tbody>{}</tbody></table></div>"
        "</details>"
    ).format(title, head, rows)


def _drawable(series: Series) -> Series:
    """Return a series without the values that are not numbers, and with absurd ones cut to what an axis can show."""
    values = [(day, max(-MAX_VALUE, min(value, MAX_VALUE))) for day, value in series.values if is_number(value)]
    return Series(series.name, values)


def is_number(value: float | None) -> bool:
    """Return whether a value is there and finite; old databases contain values that overflowed."""
    return value is not None and math.isfinite(value)


def nice(value: float) -> float:
    """Return a round number that is at least the value, for the top of an axis."""
    if value <= 0:
        return 1.0
    size = 10.0 ** len(str(int(value))) / 10 if value >= 1 else 0.1
    return next((size * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if size * step >= value), size * 10)


def figure(value: float | None) -> str:
    """Write a number in a short form, such as ``12,345`` or ``0.25``; a dash if it is unknown or not finite."""
    if value is None or not math.isfinite(value):
        return "—"
    if abs(value) >= LARGE:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def _line(series: Series, key: str, x: Scale, y: Scale) -> str:
    points = [(x(day), y(value)) for day, value in series.values]
    path = "L".join(f"{left:.1f} {top:.1f}" for left, top in points)
    if len(points) > 1:
        return f'<path class="line {key}" d="M{path}"/>'
    return f'<circle class="dot {key}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="2.5"/>'


def _bars(series: Series, key: str, x: Scale, y: Scale, span: int, stacked: dict[int, float]) -> str:
    """Draw one bar per day on top of the bars that are already there, and update ``stacked``."""
    wide = max((WIDTH - LEFT - RIGHT) / (span + 1) * 0.8, 1)
    drawn = []
    for day, value in series.values:
        below = stacked.get(day, 0.0)
        stacked[day] = below + value
        left, high, low = max(x(day) - wide / 2, LEFT), y(below + value), y(below)
        drawn.append(
            f'<rect class="{key}" x="{left:.1f}" y="{high:.1f}" width="{wide:.1f}" height="{low - high:.1f}"/>'
        )
    return "".join(drawn)
