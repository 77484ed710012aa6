"""The tiles of the heat map: outcome, passes of cases, since when, the share of each outcome, and the newest runs.

A page contains hundreds of them, so each is joined from short strings, and its label takes the place of all content for
screen readers. Values from outside go through ``escape``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from markupsafe import Markup, escape

from collector.formatting import GLYPH
from collector.outcomes import OUTCOME_NAMES
from collector.rendering.markup import counts_text, css_class
from collector.store.attention import ALL_PASSED, NO_SHARE

Mark = tuple[str, str]
"""What is unusual about a tile: a word, and its explanation."""

WIDE = 4
"""The width of a bar of a sparkline and of the gap after it, in pixels, as in the style sheet."""

_CLASS = {name: f"o-{name}" for name in (*OUTCOME_NAMES.values(), "pending")}


def heat_tile(
    href: str,
    place: str,
    outcome: str,
    counts: Mapping[str, int],
    *,
    since: str = "",
    shares: str = "",
    marks: Sequence[Mark] = (),
    stale: bool = False,
    emulated: bool = False,
    dense: bool = False,
) -> Markup:
    """Draw one tile; ``since`` is an age such as ``3 d``, ``shares`` the shares of passes in the newest runs."""
    total, passed = sum(counts.values()), counts.get("pass", 0)
    words = ", ".join([outcome, *(word for word, _ in marks)])
    parts = [counts_text(counts), f"for {since}" if since else "", *(about for _, about in marks)]
    label = escape(f"{place}: {words}; {'; '.join(filter(None, parts))}")
    drawn = "·" * bool(marks) if dense else "".join(f"<em>{escape(word)}</em>" for word, _ in marks)
    age = f"<small>{since}</small>" if since and not dense else ""
    return Markup(  # noqa: S704 every part is escaped or this project's own
        f'<a class="heat {css_class(outcome, stale, emulated)}" href="{escape(href)}" aria-label="{label}">'
        f"<span><b>{GLYPH[outcome]}</b> {passed}/{total}{age}</span>{_bar(tuple(counts.items()))}"
        f"{'' if dense else sparkline(shares)}{f'<span class=marks>{drawn}</span>' if drawn else ''}</a>"
    )


@lru_cache(maxsize=4096)
def _bar(counts: tuple[tuple[str, int], ...]) -> str:
    """Draw the cases as a bar; each outcome has a part as wide as its number of cases."""
    if len(counts) == 1:
        return f'<i class="share {_CLASS[counts[0][0]]}"></i>'
    total, x, parts = sum(number for _, number in counts), 0, []
    for outcome, number in counts:
        parts.append(f'<path class={_CLASS[outcome]} d="M{x} 0h{number}v1h-{number}"/>')
        x += number
    drawn = "".join(parts)
    return f'<svg class=share viewBox="0 0 {max(total, 1)} 1" preserveAspectRatio=none>{drawn}</svg>'


@lru_cache(maxsize=4096)
def sparkline(shares: str) -> str:
    """Draw the shares of passes as one bar a run, the oldest first; a run without the component leaves a gap.

    Only the outline is drawn, which is much shorter; the style sheet cuts it into bars.
    """
    if shares.strip(NO_SHARE) == "":
        return ""
    if shares.strip(ALL_PASSED) == "":
        return "<i class=spark></i>"
    outline, before = [], ""
    for place, share in enumerate(shares):
        if share != before:
            outline.append(f"{f'H{WIDE * place}' if place else ''}V{_top(share)}")
        before = share
    path = f"M0 10{''.join(outline)}H{WIDE * len(shares)}V10"
    return f'<svg class=spark><path d="{path}"/></svg>'


def _top(share: str) -> int:
    """Return the upper end of a bar, counted from the top; some of it shows even if nothing passed."""
    return 10 if share == NO_SHARE else 0 if share == ALL_PASSED else 10 - max(int(share), 1)
