"""Markup that a page holds hundreds or thousands of, joined here: through a template it would take many times as long.

Everything that comes from outside goes through ``escape``; outcomes and glyphs are this project's own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from markupsafe import Markup

from collector.outcomes import MISSING, ORDER, WORD
from collector.words import GLYPH, age

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
        parts.append(Markup('<rect class="{}" x="{:.2f}" width="{:.2f}" height="8"/>').format(word, x, width))
        x += width
    opening = Markup('<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">')
    return opening.format(said(counts) or "nothing") + Markup("").join(parts) + Markup("</svg>")


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
    notes = [word, *(["stale"] if stale else []), *(["emulated"] if emulated else []), *(["flaky"] if flaky else [])]
    label = f"{place}: {', '.join(notes)}; {said(counts)}" + (f"; {old} ago" if old else "")
    total = sum(counts.values())
    badges = []
    if nested:
        badges.append(
            Markup('<em class="badge nested" title="inside the outer scheduler: {0}">⊞ {0}</em>').format(nested)
        )
    if emulated:
        title = f"{emulated} of {total} on a dialect emulator"
        badges.append(Markup('<em class="badge emulated" title="{}">emulated</em>').format(title))
    if flaky:
        badges.append(Markup('<em class="badge flaky" title="{} flaky on the same stack">flaky</em>').format(flaky))
    if stale:
        badges.append(Markup('<em class="badge old">stale</em>'))
    figures = [
        Markup('<i class="n {0}">{1}<small>{0}</small></i>').format(name, number) for name, number in counts.items()
    ]
    foot = [Markup('<span class="version">{}</span>').format(version) if version else Markup("")]
    if old:
        foot.append(Markup('<span class="age">{}</span>').format(old))
    return Markup(
        '<a class="tile {classes}" href="{href}" aria-label="{label}" title="{title}">'
        '<span class="verdict"><b aria-hidden="true">{glyph}</b> {word}</span><span class="figures">{figures}</span>'
        '<span class="foot">{foot}</span>{badges}</a>'
    ).format(
        classes=css_class(word, stale, bool(emulated) and not plain),
        href=href,
        label=label,
        title=said(counts),
        glyph=GLYPH[word],
        word=word,
        figures=Markup("").join(figures) if len(counts) > 1 or total > 1 else Markup(""),
        foot=Markup("").join(foot),
        badges=Markup('<span class="badges">{}</span>').format(Markup("").join(badges)) if badges else Markup(""),
    )


def matrix(
    label: str,
    corner: str,
    columns: Iterable[Markup],
    rows: Iterable[tuple[Markup, Iterable[Markup | None]]],
    compact: bool = False,
) -> Markup:
    """Draw a table of tiles; a crossing without one is planned nowhere."""
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(each) for each in columns)
    empty = Markup('<span class="none" title="not planned there">·</span>')
    body = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>\n').format(
            name, Markup("").join(Markup("<td>{}</td>").format(empty if each is None else each) for each in cells)
        )
        for name, cells in rows
    )
    return Markup(
        '<div class="scroll" role="region" aria-label="{}" tabindex="0"><table class="matrix{}"><thead><tr>'
        '<th scope="col" class="corner">{}</th>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(label, " compact" if compact else "", corner, head, body)


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
