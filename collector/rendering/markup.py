"""Markup that a page holds hundreds or thousands of, joined here: through a template it would take many times as long.

Everything that comes from outside goes through ``escape``; outcomes and glyphs are this project's own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from markupsafe import Markup, escape

from collector.formatting import GLYPH, age
from collector.outcomes import MISSING, ORDER, WORD

PENDING = "…"

WORDS = WORD | {PENDING: "pending"}


def css_class(word: str, stale: bool = False, emulated: bool = False) -> str:
    """Return the classes of an outcome; what is stale or emulated never has the colours of a plain pass."""
    return " ".join([word, *(["stale"] if stale else []), *(["emulated"] if emulated else [])])


def pill(word: str) -> Markup:
    """Draw an outcome as a word with its sign."""
    return Markup('<span class="pill {0}"><b aria-hidden="true">{1}</b> {0}</span>').format(word, GLYPH[word])


def said(counts: Mapping[str, int]) -> str:
    """Say counts in words."""
    return ", ".join(f"{number} {word}" for word, number in counts.items())


def bar(counts: Mapping[str, int]) -> Markup:
    """Draw counts as parts of a whole."""
    total = sum(counts.values())
    parts, x = [], 0.0
    for word, number in counts.items():
        width = 100 * number / total
        parts.append(f'<rect class="{word}" x="{x:.2f}" width="{width:.2f}" height="8"/>')
        x += width
    label, drawn = said(counts) or "nothing", "".join(parts)
    return Markup(  # noqa: S704 words and numbers alone
        f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{label}">{drawn}</svg>'
    )


def only_emulated(outcomes: str, emulated: int) -> bool:
    """Tell whether every pass may be an emulator's: then it is not shown as the real scheduler's."""
    return bool(emulated) and outcomes.count("p") <= emulated


def tile(
    href: str,
    place: str,
    word: str,
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
    """Draw one crossing of a matrix; ``plain`` is false where only emulators stand behind it."""
    old = "" if began is None else age(now - began)
    doubts = [name for name, holds in (("stale", stale), ("emulated", emulated), ("flaky", flaky)) if holds]
    counted = said(counts)
    label = f"{place}: {', '.join([word, *doubts])}; {counted}{f'; {old} ago' if old else ''}"
    total = sum(counts.values())
    badges = ""
    if nested:
        inner = escape(nested)
        badges += f'<em class="badge nested" title="inside the outer scheduler: {inner}">⊞ {inner}</em>'
    if emulated:
        badges += f'<em class="badge emulated" title="{emulated} of {total} on a dialect emulator">emulated</em>'
    if flaky:
        badges += f'<em class="badge flaky" title="{flaky} flaky on the same stack">flaky</em>'
    if stale:
        badges += '<em class="badge old">stale</em>'
    figures = "".join(f'<i class="n {name}">{number}<small>{name}</small></i>' for name, number in counts.items())
    return Markup(  # noqa: S704 every part is escaped or this project's own
        f'<a class="tile {css_class(word, stale, bool(emulated) and not plain)}" href="{escape(href)}" '
        f'aria-label="{escape(label)}" title="{counted}"><span class="verdict"><b aria-hidden="true">{GLYPH[word]}</b> '
        f'{word}</span><span class="figures">{figures if total > 1 else ""}</span><span class="foot">'
        f"{_span('version', escape(version or ''))}{_span('age', old)}</span>{_span('badges', badges)}</a>"
    )


def _span(name: str, markup: str) -> str:
    """Put markup that is safe already into a span, or nothing into none."""
    return f'<span class="{name}">{markup}</span>' if markup else ""


def matrix(
    label: str,
    corner: str,
    columns: Iterable[Markup],
    rows: Iterable[tuple[Markup, Iterable[Markup | None]]],
    compact: bool = False,
) -> Markup:
    """Draw a table of tiles; a crossing without one is planned nowhere."""
    kind = "matrix compact" if compact else "matrix"
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in columns)
    empty = '<td><span class="none" title="not planned there">·</span></td>'
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        f"{''.join(empty if each is None else f'<td>{escape(each)}</td>' for each in cells)}</tr>\n"
        for name, cells in rows
    )
    return Markup(  # noqa: S704 every part is escaped
        f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0">'
        f'<table class="{kind}"><thead><tr><th scope="col" class="corner">{escape(corner)}'
        f"</th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def counts_of(outcomes: str, open_: bool = False) -> dict[str, int]:
    """Count outcomes by their words, worst first; what an open run still owes is pending, not missing."""
    found = {WORD[char]: outcomes.count(char) for char in ORDER if char in outcomes}
    if open_ and "missing" in found:
        found["pending"] = found.pop("missing")
    return found


def shown(outcomes: str, open_: bool = False) -> str:
    """Return the word for a group of cases: the worst, and never a pass while something is owed."""
    if not outcomes:
        return "pending"
    if open_ and MISSING in outcomes:
        rest = outcomes.replace(MISSING, "")
        bad = min(rest, key=ORDER.index) if rest else MISSING
        return WORD[bad] if ORDER.index(bad) < ORDER.index(MISSING) else "pending"
    return WORD[min(outcomes, key=ORDER.index)]
