"""What the first page reports: what changed since a reference time, what fails for longest, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, func, literal, null, or_, select, union_all

from collector import formatting
from collector.auth.visibility import Visibility
from collector.outcomes import PASS
from collector.status.filters import OF_SYSTEMS, Filters
from collector.status.pending import has_open_run
from collector.status.tiles import has_tiles
from collector.store.attention import FAILED, parse_failing
from collector.store.bulk import among
from collector.store.tables import attention, cells, incidents, records, systems

OF_MACHINE = ("site", "scheduler")
"""The fault classes for which it does not matter which component a failed case tests."""

SORTS = ("attention", "name", "site")
LONGEST = 8
NAMED = 3
"""The number of silent systems that are named."""

OWNERS = 50
"""The number of owners that the first page counts failures of."""

SITES = 200
"""The number of sites that the first page lists."""


def changes_since(connection: Connection, visibility: Visibility, filters: Filters, since: int) -> list[dict[str, Any]]:
    """Return what newly fails and what passes again, grouped by fault class, component and version.

    Each group has ``recovered``, ``class``, ``component`` and ``version`` (None if the site or its scheduler is at
    fault, so that an outage is one group), ``cells``, ``systems`` (how many), ``named``:
    the names of the systems if there are one or two, else of two of them, and ``latest``: when its newest change began.
    """
    source: Any = incidents if filters.of_systems_only else _attention(filters)
    of_machine = source.c.cause.in_(OF_MACHINE)
    component = case((of_machine, null()), else_=func.nullif(source.c.component, ""))
    version = case((of_machine, null()), else_=func.nullif(source.c.version, ""))
    keys = (source.c.recovered, func.nullif(source.c.cause, ""), component, version)
    places = func.min(systems.c.system), func.max(systems.c.system)
    number = func.sum(source.c.cells)
    query = (
        select(*keys, number, func.count(source.c.system.distinct()), *places, func.max(source.c.since))
        .join(systems, systems.c.id == source.c.system)
        .where(source.c.since >= since, *filters.only(*OF_SYSTEMS).systems())
        .group_by(*keys)
        .order_by(keys[0], number.desc(), *keys[1:])
    )
    return [
        {
            "recovered": bool(recovered),
            "class": cause,
            "component": component,
            "version": version,
            "cells": int(number),
            "systems": places_,
            "named": list(dict.fromkeys((first, last))),
            "latest": formatting.at(latest),
        }
        for recovered, cause, component, version, number, places_, first, last, latest in connection.execute(
            visibility.of(query)
        )
    ]


def _attention(filters: Filters) -> Any:
    """Return the cells that the filters select in the columns of ``incidents``."""
    query = (
        select(attention.c.system, attention.c.since, (attention.c.outcome == PASS).label("recovered"))
        .add_columns(attention.c.cause, attention.c.component, attention.c.version, literal(1).label("cells"))
        .join(systems, systems.c.id == attention.c.system)
        .where(attention.c.outcome.in_([*FAILED, PASS]), *filters.attention())
    )
    return query.subquery()


def failing_counts(connection: Connection, visibility: Visibility, filters: Filters) -> dict[str, dict[str, int]]:
    """Return the number of cells that fail by fault class, and by owner of their system (of fifty); the most first."""
    by_class: dict[str, int] = {}
    by_owner: dict[str, int] = {}
    counts = _summed(connection, visibility, filters) if filters.of_systems_only else None
    for cause, owner, number in _counted(connection, visibility, filters) if counts is None else counts:
        by_class[cause or ""] = by_class.get(cause or "", 0) + number
        by_owner[owner or ""] = by_owner.get(owner or "", 0) + number
    return {"by_class": _most_first(by_class), "by_owner": dict(list(_most_first(by_owner).items())[:OWNERS])}


def _counted(connection: Connection, visibility: Visibility, filters: Filters) -> Iterator[tuple[str, str, int]]:
    """Yield fault class, owner and number of failing cells, from the cells that the filters select."""
    query = (
        select(attention.c.cause, systems.c.owner, func.count())
        .join(systems, systems.c.id == attention.c.system)
        .where(attention.c.outcome.in_(list(FAILED)), *filters.attention())
        .group_by(attention.c.cause, systems.c.owner)
    )
    yield from (tuple(row) for row in connection.execute(visibility.of(query)))


def _summed(connection: Connection, visibility: Visibility, filters: Filters) -> Iterator[tuple[str, str, int]]:
    """Yield the same from the sums that each system has."""
    query = (
        select(systems.c.owner, systems.c.failing_by, func.count())
        .where(systems.c.failing > 0, *filters.systems())
        .group_by(systems.c.owner, systems.c.failing_by)
    )
    for owner, failing_by, number in connection.execute(visibility.of(query)):
        for cause, cells_ in parse_failing(failing_by).items():
            yield cause, owner, cells_ * number


def longest_failing(connection: Connection, visibility: Visibility, filters: Filters) -> list[Row[Any]]:
    """Return the cells that fail for longest, with case, system, outcome, since, fault class and title of the cause."""
    columns = (attention.c.cell, attention.c.system, attention.c.outcome, attention.c.since, attention.c.cause)
    oldest = [  # of each outcome, so that an index gives the first rows without reading the others
        select(
            visibility.of(
                select(*columns)
                .join(systems, systems.c.id == attention.c.system)
                .where(attention.c.outcome == outcome, *filters.attention())
                .order_by(attention.c.since, attention.c.cell)
                .limit(LONGEST)
            ).subquery(f"oldest_{place}")
        )
        for place, outcome in enumerate(FAILED)
    ]
    some = union_all(*oldest).subquery("oldest")
    query = (
        select(some.c.cell, some.c.outcome, some.c.since, some.c.cause, cells.c.case_id)
        .add_columns(systems.c.site, systems.c.system, systems.c.owner, records.c.title, records.c.evidence)
        .join(systems, systems.c.id == some.c.system)
        .join(cells, cells.c.id == some.c.cell)
        .outerjoin(records, records.c.id == cells.c.last_record)
        .order_by(some.c.since, some.c.cell)
        .limit(LONGEST)
    )
    return list(connection.execute(query))


def silent_systems(connection: Connection, visibility: Visibility, filters: Filters) -> list[Row[Any]]:
    """Return the systems that are silent for longest, each with the number of all silent systems as ``number``."""
    query = (
        select(systems.c.site, systems.c.system, systems.c.silent_from, systems.c.contact)
        .add_columns(func.count().over().label("number"))
        .where(systems.c.silent_from <= filters.now, *filters.only("site", "system", "owner").systems())
        .order_by(systems.c.silent_from, systems.c.id)
        .limit(NAMED)
    )
    return list(connection.execute(visibility.of(query)))


def page_of_systems(
    connection: Connection,
    visibility: Visibility,
    filters: Filters,
    since: int,
    sort: str,
    first: int,
    limit: int | None,
) -> list[Row[Any]]:
    """Return systems with tiles or an open run, in the order of ``sort``, each with the number of all as ``number``.

    In the order of attention, the systems on which something newly fails come first, then those on which something
    fails, then the silent ones; within each group the one with the most failing cells is first.
    """
    failing: Any = systems.c.failing
    newest: Any = systems.c.newest_failure
    counted: Any = None
    if not filters.of_systems_only:
        query = select(attention.c.system, func.count().label("failing"), func.max(attention.c.since).label("newest"))
        query = query.join(systems, systems.c.id == attention.c.system)
        query = query.where(attention.c.outcome.in_(list(FAILED)), *filters.attention())
        counted = query.group_by(attention.c.system).subquery()
        failing, newest = counted.c.failing, counted.c.newest
    rank = case(
        (newest >= since, literal(0)),
        (failing > 0, literal(1)),
        (systems.c.silent_from <= filters.now, literal(2)),
        else_=literal(3),
    )
    orders: dict[str, list[ColumnElement[Any]]] = {
        "attention": [rank, func.coalesce(failing, 0).desc()],
        "name": [systems.c.system],
        "site": [],
    }
    current = or_(has_tiles(filters), has_open_run()) if filters.of_systems_only else has_tiles(filters)
    listed = (*filters.systems(), current, *visibility.limits())
    number = select(func.count()).select_from(systems).where(*listed).scalar_subquery().label("number")
    listing = (
        select(systems.c.id, systems.c.site, systems.c.system, systems.c.owner, systems.c.silent_from)
        .add_columns(systems.c.skew, systems.c.contact, number)
        .add_columns(systems.c.full_smoke, systems.c.full_integration, systems.c.full_scale)
        .where(*listed)
        .order_by(*orders[sort], systems.c.site, systems.c.system)
        .offset(first)
        .limit(limit)
    )
    if counted is not None:
        listing = listing.outerjoin(counted, counted.c.system == systems.c.id)
    return list(connection.execute(listing))


@dataclass(frozen=True)
class SiteCounts:
    """Sites with the number of their systems: the first ones by name, and those that were asked for.

    ``sites``, ``systems``: the number of all of them. ``widest``: the largest number of tiles that a system has.
    """

    by_site: dict[str, int]
    sites: int
    systems: int
    widest: int


def counted_sites(connection: Connection, visibility: Visibility) -> SiteCounts:
    """Return the sites that a reader may see."""
    number, tiles = func.count(), func.max(systems.c.tiles)
    totals = (func.count().over(), func.sum(number).over(), func.max(tiles).over())
    query = select(systems.c.site, number, *totals).group_by(systems.c.site).order_by(systems.c.site).limit(SITES)
    rows = connection.execute(visibility.of(query)).all()
    return SiteCounts({row[0]: row[1] for row in rows}, *(map(int, rows[0][2:]) if rows else (0, 0, 0)))


def count_more_sites(
    connection: Connection, visibility: Visibility, counts: SiteCounts, names: Iterable[str]
) -> SiteCounts:
    """Return the counts with those of further sites, which are the sites of the systems on the page."""
    missing = sorted(set(names) - counts.by_site.keys())
    if not missing:
        return counts
    query = select(systems.c.site, func.count()).where(among(connection, systems.c.site, missing))
    rows = connection.execute(visibility.of(query.group_by(systems.c.site))).all()
    return replace(counts, by_site=counts.by_site | {row[0]: row[1] for row in rows})


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))
