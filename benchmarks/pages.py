"""The generated tables of a page: what stands between the two markers of a benchmark is written by its command."""

from __future__ import annotations

import re

BEGIN = "<!-- benchmark {}: written by python -m benchmarks.all -->"
END = "<!-- benchmark {}: end -->"


class PageError(Exception):
    """A page has no place for a table, or a damaged one."""


def names(page: str) -> list[str]:
    """Return the names of the places of a page, in their order."""
    return re.findall(BEGIN.replace("{}", "([a-z0-9-]+)"), page)


def replaced(page: str, name: str, content: str) -> str:
    """Return the page with new content in one of its places.

    Raises:
        PageError: the page does not have exactly one such place.
    """
    begin, end = BEGIN.format(name), END.format(name)
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise PageError(f"the page needs the line {begin!r} once, and after it {end!r}")
    head, rest = page.split(begin)
    return f"{head}{begin}\n{content.strip()}\n{end}{rest.split(end)[1]}"
