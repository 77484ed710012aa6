"""The filters in the address of a page: which systems, cells and runs its lists show.

A filter has one or several values, separated by commas; a row matches if it has one of them. Several filters must all
match. ``site``, ``system`` and ``owner`` choose systems. ``component``, ``scheduler``, ``version``, ``release``,
``emulated`` and ``age`` choose the cells that count. ``outcome``, ``class`` and ``state`` choose which of them are
listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, or_, select

from collector.outcomes import OUTCOME_NAMES
from collector.store.attention import FAILED
from collector.store.staleness import stale_condition
from collector.store.tables import attention, cells, runs, systems
from dashboard_client.schema import CauseClass

OF_SYSTEMS = ("site", "system", "owner")
OF_CELLS = ("component", "scheduler", "version", "release", "emulated", "age")
OF_LISTS = ("outcome", "class", "state")
NAMES = (*OF_SYSTEMS, *OF_CELLS, *OF_LISTS)

STATES = ("stale", "silent", "emulated", "nested", "flaky")
CLASSES = tuple(each.value for each in CauseClass)
AGES = ("1d", "7d", "over-7d", "over-30d")
EMULATED = ("real", "emulated")
LONGEST = 4096

CHARS = {name: char for char, name in OUTCOME_NAMES.items()}

_latest = runs.alias("latest_run")
"""The latest run of a cell; the query around the condition may select from ``runs`` for another reason."""

_AGE = re.compile(r"(over-)?([0-9]{1,5})([hd])")
_UNIT_MS = {"h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class Filters:
    """The filters of a request by name, and the present time in milliseconds since 1970."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    now: int = 0

    @classmethod
    def of(cls, query: Mapping[str, str], now: int) -> Filters:
        """Read the filters from the query of an address; an empty filter is none."""
        named = {name: tuple(filter(None, query.get(name, "")[:LONGEST].split(","))) for name in NAMES}
        return cls({name: values for name, values in named.items() if values}, now)

    def __bool__(self) -> bool:
        return bool(self.values)

    def get(self, name: str) -> tuple[str, ...]:
        return self.values.get(name, ())

    def only(self, *names: str) -> Filters:
        """Return these filters without all others."""
        return Filters({name: values for name, values in self.values.items() if name in names}, self.now)

    def without(self, *names: str) -> Filters:
        """Return these filters without some of them."""
        return self.only(*(name for name in self.values if name not in names))

    def query(self) -> dict[str, str]:
        """Return the filters as the query of an address."""
        return {name: ",".join(values) for name, values in self.values.items()}

    @property
    def of_systems_only(self) -> bool:
        """Whether every filter chooses systems, so that all cells of a chosen system count."""
        return all(name in OF_SYSTEMS for name in self.values)

    @property
    def needs_cells(self) -> bool:
        """Whether tiles must be computed from their cells; the board has them for whole components only."""
        return any(name in self.values for name in OF_CELLS if name != "component")

    def systems(self) -> list[ColumnElement[bool]]:
        """Return the conditions on a query over systems."""
        named = [name for name in OF_SYSTEMS if self.get(name)]
        conditions: list[ColumnElement[bool]] = [systems.c[name].in_(self.get(name)) for name in named]
        if self.get("state") == ("silent",):
            conditions.append(systems.c.silent_from <= self.now)
        return conditions

    def cells(self) -> list[ColumnElement[bool]]:
        """Return the conditions on a query over ``cells``: those that count, whatever their outcome is."""
        of_run = cells.c.last_run
        conditions = self._scope(
            cells.c.subject, cells.c.scheduler, cells.c.last_version, cells.c.last_emulated, of_run
        )
        return [*conditions, *self._age(cells.c.last_started)]

    def rows(self) -> list[ColumnElement[bool]]:
        """Return the conditions on a list of cells: a query over ``cells`` joined to ``systems``."""
        conditions = [*self.systems(), *self.cells()]
        if self.get("outcome"):
            conditions.append(cells.c.last_outcome.in_(self.outcomes()))
        if self.get("class"):
            listed = (attention.c.cell == cells.c.id, attention.c.cause.in_(self.get("class")))
            conditions.append(select(attention.c.cell).where(*listed).exists())
        return conditions

    def attention(self) -> list[ColumnElement[bool]]:
        """Return the conditions on a query over ``attention`` joined to ``systems``."""
        table = attention.c
        conditions = self._scope(table.subject, table.scheduler, table.version, table.emulated, table.run)
        if self.get("age"):
            recent = select(_latest.c.id).where(_latest.c.id == table.run, *self._age(_latest.c.started))
            conditions.append(recent.exists())
        if self.get("class"):
            conditions.append(table.cause.in_(self.get("class")))
        if self.get("outcome"):
            conditions.append(table.outcome.in_(self.outcomes()))
        states = {"emulated": table.emulated, "flaky": table.flaky, "nested": table.scheduler.contains("+")}
        wanted: list[ColumnElement[bool]] = [states[name] for name in self.get("state") if name in states]
        if "silent" in self.get("state"):
            wanted.append(systems.c.silent_from <= self.now)
        if "stale" in self.get("state"):
            wanted.append(self._stale(table.run))
        if self.get("state"):
            conditions.append(or_(false(), *wanted))
        return [*self.systems(), *conditions]

    def runs(self) -> list[ColumnElement[bool]]:
        """Return the conditions on a query over runs joined to ``systems``.

        What a run has no column for is asked of the system: it must have such a cell now.
        """
        conditions = [*self.systems(), *self._age(runs.c.started)]
        if self.get("release"):
            conditions.append(runs.c.release.in_(self.get("release")))
        if self.get("outcome"):
            conditions.append(or_(false(), *(runs.c.outcomes.contains(char) for char in self.outcomes())))
        if self.get("scheduler"):
            names = {part for name in self.get("scheduler") for part in name.split("+")}
            conditions.append(or_(*(runs.c.schedulers.contains(f'"{name}":', autoescape=True) for name in names)))
        for value in self.get("emulated"):
            emulated = func.coalesce(runs.c.schedulers, "").contains("(emulated)")
            conditions.append(emulated if value == "emulated" else ~emulated)
        of_system = self.only("component", "version")
        if of_system:
            conditions.append(select(cells.c.id).where(cells.c.system == systems.c.id, *of_system.cells()).exists())
        if self.get("class"):
            listed = (attention.c.system == systems.c.id, attention.c.cause.in_(self.get("class")))
            conditions.append(select(attention.c.cell).where(*listed).exists())
        return conditions

    def outcomes(self) -> list[str]:
        """Return the characters of the wanted outcomes; an unknown name matches nothing."""
        return [CHARS.get(name, "?") for name in self.get("outcome")]

    def wants_failures(self) -> bool:
        """Return whether cells that fail may match."""
        return not self.get("outcome") or any(char in FAILED for char in self.outcomes())

    def _scope(self, subject: Any, scheduler: Any, version: Any, emulated: Any, run: Any) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = []
        if self.get("version"):
            conditions.append(version.in_(self.get("version")))
        if self.get("component"):
            conditions.append(has_part(subject, self.get("component")))
        if self.get("scheduler"):
            conditions.append(has_part(scheduler, self.get("scheduler")))
        if self.get("emulated"):
            known = {"real": or_(emulated.is_(None), emulated.is_(False)), "emulated": emulated.is_(True)}
            conditions.append(or_(false(), *(known[name] for name in self.get("emulated") if name in known)))
        if self.get("release"):
            of_release = select(_latest.c.id).where(_latest.c.id == run, _latest.c.release.in_(self.get("release")))
            conditions.append(of_release.exists())
        return conditions

    def _age(self, started: Any) -> list[ColumnElement[bool]]:
        """Return the condition on a start: ``7d`` at most seven days ago, ``over-7d`` earlier; hours as ``12h``."""
        wanted = []
        for text in self.get("age"):
            match = _AGE.fullmatch(text)
            if match is None:
                wanted.append(false())
                continue
            limit = self.now - int(match[2]) * _UNIT_MS[match[3]]
            wanted.append(started < limit if match[1] else started >= limit)
        return [or_(*wanted)] if wanted else []

    def _stale(self, run: Any) -> ColumnElement[bool]:
        stale = stale_condition(_latest.c.started, _latest.c.stale_after, self.now)
        return select(_latest.c.id).where(_latest.c.id == run, stale).exists()


def has_part(column: Any, names: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition that a text such as ``parsl+psij`` is one of the names, or has it as its first or last part.

    So ``parsl`` selects the component and its pairs, ``flux`` also a Flux inside another scheduler.
    """
    parts = [
        condition
        for name in names
        for condition in (
            column == name,
            column.startswith(f"{name}+", autoescape=True),
            column.endswith(f"+{name}", autoescape=True),
        )
    ]
    return or_(false(), *parts)


def current_cells() -> ColumnElement[bool]:
    """Return the condition that the newest full run of its tier still plans a cell; needs ``cells`` and ``systems``."""
    started = cells.c.last_started
    full = (
        ("smoke", systems.c.full_smoke),
        ("integration", systems.c.full_integration),
        ("scale", systems.c.full_scale),
    )
    planned = [and_(cells.c.tier == tier, or_(column.is_(None), started >= column)) for tier, column in full]
    return and_(started.is_not(None), or_(*planned))
