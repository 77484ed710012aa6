"""Markup of which a page contains hundreds or thousands; joining strings here is many times faster than a template.

Every value from outside goes through ``escape``. Outcomes and glyphs are constants of this project.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from markupsafe import Markup, escape

from collector.formatting import GLYPH, age
from collector.outcomes import MISSING, ORDER, OUTCOME_NAMES

PENDING = "…"

DISPLAY_NAMES = OUTCOME_NAMES | {PENDING: "pending"}


def css_class(outcome: str, stale: bool = False, emulated: bool = False) -> str:
    """Return the CSS classes of an outcome; a stale or emulated pass never has the colours of a plain pass."""
    return " ".join([outcome, *(["stale"] if stale else []), *(["emulated"] if emulated else [])])


def pill(outcome: str) -> Markup:
    """Draw an outcome as its sign and its name."""
    return Markup('<span class="pill {0}"><b aria-hidden="true">{1}</b> {0}</span>').format(outcome, GLYPH[outcome])


def counts_text(counts: Mapping[str, int]) -> str:
    """Write counts as text, such as ``3 pass, 1 fail``."""
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.items())


def bar(counts: Mapping[str, int]) -> Markup:
    """Draw counts as a bar, each part in proportion."""
    total = sum(counts.values())
    parts, x = [], 0.0
    for outcome, number in counts.items():
        width = 100 * number / total
        parts.append(f'<rect class="{outcome}" x="{x:.2f}" width="{width:.2f}" height="8"/>')
        x += width
    label, drawn = counts_text(counts) or "nothing", "".join(parts)
    return Markup(  # noqa: S704 only names of outcomes and numbers
        f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{label}">{drawn}</svg>'
    )


def only_emulated(outcomes: str, emulated: int) -> bool:
    """Return whether every pass may come from an emulator; the group is then not shown as a real pass."""
    return bool(emulated) and outcomes.count("p") <= emulated


def tile(
    href: str,
    place: str,
    outcome: str,
    counts: Mapping[str, int],
    *,
    now: int,
    began: int | None = None,
    version: str | None = None,
    emulated: int = 0,
    plain: bool = True,
    nested: str | None = None,
    stale: bool = False,
    flaky: int = 0,
) -> Markup:
    """Draw one cell of a matrix; ``plain`` is false if all its passes may come from emulators."""
    age_text = "" if began is None else age(now - began)
    qualifiers = [name for name, holds in (("stale", stale), ("emulated", emulated), ("flaky", flaky)) if holds]
    counted = counts_text(counts)
    label = f"{place}: {', '.join([outcome, *qualifiers])}; {counted}{f'; {age_text} ago' if age_text else ''}"
    total = sum(counts.values())
    badges = ""
    if nested:
        inner = escape(nested)
        badges += f'<em class="badge nested" title="inside the outer scheduler: {inner}">⊞ {inner}</em>'
    if emulated:
        badges += f'<em class="badge emulated" title="{emulated} of {total} on an emulator">emulated</em>'
    if flaky:
        badges += f'<em class="badge flaky" title="{flaky} flaky, on the same stack">flaky</em>'
    if stale:
        badges += '<em class="badge old">stale</em>'
    figures = "".join(f'<i class="n {name}">{number}<small>{name}</small></i>' for name, number in counts.items())
    return Markup(  # noqa: S704 every part is escaped or this project's own
        f'<a class="tile {css_class(outcome, stale, bool(emulated) and not plain)}" href="{escape(href)}" '
        f'aria-label="{escape(label)}" title="{counted}">'
        f'<span class="verdict"><b aria-hidden="true">{GLYPH[outcome]}</b> '
        f'{outcome}</span><span class="figures">{figures if total > 1 else ""}</span><span class="foot">'
        f"{_span('version', escape(version or ''))}{_span('age', age_text)}</span>{_span('badges', badges)}</a>"
    )


def _span(name: str, markup: str) -> str:
    """Return markup that is already escaped in a span; nothing if it is empty."""
    return f'<span class="{name}">{markup}</span>' if markup else ""


def tile_table(
    label: str,
    corner: str,
    columns: Iterable[Markup],
    rows: Iterable[tuple[Markup, Iterable[Markup | None]]],
    kind: str,
) -> Markup:
    """Draw a table of tiles; a cell without a tile is not planned. kind: a CSS class, such as ``compact``."""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in columns)
    empty = '<td><span class="none" title="not planned there">·</span></td>'
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        f"{''.join(empty if each is None else f'<td>{escape(each)}</td>' for each in cells)}</tr>\n"
        for name, cells in rows
    )
    return Markup(  # noqa: S704 every part is escaped
        f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0">'
        f'<table class="matrix {kind}"><thead><tr><th scope="col" class="corner">{escape(corner)}'
        f"</th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def counts_of(outcomes: str, open_: bool = False) -> dict[str, int]:
    """Count outcomes by name, worst first; an unfinished case of an open run is pending, not missing."""
    counts = {OUTCOME_NAMES[char]: outcomes.count(char) for char in ORDER if char in outcomes}
    if open_ and "missing" in counts:
        counts["pending"] = counts.pop("missing")
    return counts


def overall_outcome(outcomes: str, open_: bool = False) -> str:
    """Return the outcome of a group of cases: the worst of them, and never ``pass`` while a case is unfinished."""
    if not outcomes:
        return "pending"
    if open_ and MISSING in outcomes:
        rest = outcomes.replace(MISSING, "")
        bad = min(rest, key=ORDER.index) if rest else MISSING
        return OUTCOME_NAMES[bad] if ORDER.index(bad) < ORDER.index(MISSING) else "pending"
    return OUTCOME_NAMES[min(outcomes, key=ORDER.index)]
