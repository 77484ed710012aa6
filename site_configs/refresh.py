"""What ``exaworks sites refresh`` prints: for each fact of site files, the page that states it and its age."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from site_configs.document import read
from site_configs.schema import Source, State, System
from site_configs.sources import Fact, age, facts, is_old


@dataclass(frozen=True)
class Review:
    """The facts of one site file on one day; ``days``: the age in days from which a fact is old."""

    system: System
    file: Path
    today: datetime.date
    days: int
    facts: list[Fact] = field(default_factory=list)

    @property
    def sources(self) -> list[Source]:
        return self.system.sources

    @property
    def cited(self) -> list[Fact]:
        return [fact for fact in self.facts if fact.sources]

    @property
    def uncited(self) -> list[Fact]:
        return [fact for fact in self.facts if not fact.sources]

    @property
    def old(self) -> list[Fact]:
        """The facts to compare with their pages again: none of a retired system, which no longer changes."""
        if self.system.state is State.RETIRED:
            return []
        return [fact for fact in self.cited if any(self.is_old(place) for place in fact.sources)]

    def is_old(self, place: int) -> bool:
        return is_old(self.sources[place], self.today, self.days)

    def lines(self, only_old: bool) -> Iterator[str]:
        """Yield the text for people: each page with its section and dates, then the facts that it states."""
        shown = self.old if only_old else self.cited
        for place, source in enumerate(self.sources):
            from_here = [fact for fact in shown if place in fact.sources]
            if not from_here or (only_old and not self.is_old(place)):
                continue
            yield f"{self.system.system}: {where(source)}"
            yield f"  {self._dates(source)}{', old: read it again' * self.counts_as_old(place)}"
            width = min(46, max(len(fact.name) for fact in from_here))
            for fact in from_here:
                yield f"    {fact.name:{width}}  {shown_value(fact.value)}"
        if self.uncited and not only_old:
            yield f"{self.system.system}: no page is cited for"
            for fact in self.uncited:
                yield f"    {fact.name}  {shown_value(fact.value)}"

    def counts_as_old(self, place: int) -> bool:
        return self.system.state is not State.RETIRED and self.is_old(place)

    def summary(self) -> str:
        """Return one line: how many facts, how many of them old, and how many values without a page."""
        retired = ", retired" if self.system.state is State.RETIRED else ""
        return (
            f"{self.system.system}{retired}: {len(self.cited)} facts from {len(self.sources)} pages and sections, "
            f"{len(self.old)} older than {self.days} days or undated, {len(self.uncited)} without a page"
        )

    def rows(self, only_old: bool) -> list[dict[str, Any]]:
        """Return the facts as plain values, one entry for each fact and page; without a page ``page`` is None."""
        document = read(self.file.read_text(encoding="utf-8"))
        entries: list[dict[str, Any]] = []
        for fact in self.old if only_old else self.facts:
            common = {
                "system": self.system.system, "file": str(self.file), "line": document.line(fact.key),
                "key": fact.name, "value": fact.value,
            }  # fmt: skip
            for place in fact.sources:
                source = self.sources[place]
                entries.append(
                    {
                        **common, "page": source.page, "section": source.section, "changed": source.changed,
                        "as_of": source.as_of, "checked": source.checked, "age_days": age(source, self.today),
                        "old": self.counts_as_old(place),
                    }
                )  # fmt: skip
            if not fact.sources:
                names = ("page", "section", "changed", "as_of", "checked", "age_days")
                entries.append({**common, **dict.fromkeys(names), "old": False})
        return entries

    def _dates(self, source: Source) -> str:
        known = age(source, self.today)
        text = "of unknown age" if known is None else f"as of {source.as_of} ({known} days)"
        text += f", page changed {source.changed}" if source.changed else ""
        return text + (f", compared {source.checked}" if source.checked else "")


def review(system: System, file: Path, today: datetime.date, days: int) -> Review:
    """Find the facts of a site file; ``file`` must be the one that the system was loaded from."""
    values = read(file.read_text(encoding="utf-8")).values
    return Review(system, file, today, days, facts(values, system.sources))


def where(source: Source) -> str:
    """Return the page, with its section."""
    return f"{source.page}, {source.section!r}" if source.section else source.page


def shown_value(value: Any) -> str:
    """Return a value in one short line."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 70 else f"{text[:67]}..."
