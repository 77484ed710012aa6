"""What the first page reports: what changed since a reference time, what fails for longest, and whose it is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, func, literal, null, select

from collector import formatting
from collector.auth.visibility import Visibility
from collector.outcomes import PASS
from collector.status.filters import Filters
from collector.status.tiles import has_tiles
from collector.store.attention import FAILED
from collector.store.tables import attention, cells, records, systems

OF_MACHINE = ("site", "scheduler")
"""The fault classes for which it does not matter which component a failed case tests."""

SORTS = ("attention", "name", "site")
LONGEST = 8
NAMED = 3
"""The number of silent systems that are named."""


def changes_since(connection: Connection, visibility: Visibility, filters: Filters, since: int) -> list[dict[str, Any]]:
    """Return what newly fails and what passes again, grouped by fault class, component and version.

    Each group has ``recovered``, ``class``, ``component`` and ``version`` (None if the site or its scheduler is at
    fault, so that an outage is one group), ``cells``, ``systems`` (how many), ``named``:
    the names of the systems if there are one or two, else of two of them, and ``latest``: when its newest change began.
    """
    passes = case((attention.c.outcome == PASS, literal(1)), else_=literal(0))
    of_machine = attention.c.cause.in_(OF_MACHINE)
    component = case((of_machine, null()), else_=attention.c.component)
    version = case((of_machine, null()), else_=attention.c.version)
    keys = (passes, attention.c.cause, component, version)
    places = func.min(systems.c.system), func.max(systems.c.system)
    query = (
        select(*keys, func.count(), func.count(attention.c.system.distinct()), *places, func.max(attention.c.since))
        .join(systems, systems.c.id == attention.c.system)
        .where(attention.c.outcome.in_([*FAILED, PASS]), attention.c.since >= since, *filters.attention())
        .group_by(*keys)
        .order_by(keys[0], func.count().desc(), *keys[1:])
    )
    return [
        {
            "recovered": bool(recovered),
            "class": cause,
            "component": component,
            "version": version,
            "cells": number,
            "systems": places_,
            "named": list(dict.fromkeys((first, last))),
            "latest": formatting.at(latest),
        }
        for recovered, cause, component, version, number, places_, first, last, latest in connection.execute(
            visibility.of(query)
        )
    ]


def failing_counts(connection: Connection, visibility: Visibility, filters: Filters) -> dict[str, dict[str, int]]:
    """Return the number of cells that fail by fault class, and by owner of their system; the most first."""
    query = (
        select(attention.c.cause, systems.c.owner, func.count())
        .join(systems, systems.c.id == attention.c.system)
        .where(attention.c.outcome.in_(list(FAILED)), *filters.attention())
        .group_by(attention.c.cause, systems.c.owner)
    )
    by_class: dict[str, int] = {}
    by_owner: dict[str, int] = {}
    for cause, owner, number in connection.execute(visibility.of(query)):
        by_class[cause or ""] = by_class.get(cause or "", 0) + number
        by_owner[owner or ""] = by_owner.get(owner or "", 0) + number
    return {"by_class": _most_first(by_class), "by_owner": _most_first(by_owner)}


def longest_failing(connection: Connection, visibility: Visibility, filters: Filters) -> list[Row[Any]]:
    """Return the cells that fail for longest, with case, system, outcome, since, fault class and title of the cause."""
    columns = (attention.c.cell, attention.c.system, attention.c.outcome, attention.c.since, attention.c.cause)
    oldest = (
        select(*columns)
        .join(systems, systems.c.id == attention.c.system)
        .where(attention.c.outcome.in_(list(FAILED)), *filters.attention())
        .order_by(attention.c.since, attention.c.cell)
        .limit(LONGEST)
    )
    some = visibility.of(oldest).subquery()  # few rows before anything else is joined
    query = (
        select(some.c.cell, some.c.outcome, some.c.since, some.c.cause, cells.c.case_id)
        .add_columns(systems.c.site, systems.c.system, systems.c.owner, records.c.title, records.c.evidence)
        .join(systems, systems.c.id == some.c.system)
        .join(cells, cells.c.id == some.c.cell)
        .outerjoin(records, records.c.id == cells.c.last_record)
        .order_by(some.c.since, some.c.cell)
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
    """Return systems with tiles, in the order of ``sort``, each with the number of all of them as ``number``.

    In the order of attention, the systems on which something newly fails come first, then those on which something
    fails, then the silent ones; within each group the one with the most failing cells is first.
    """
    failing = select(attention.c.system, func.count().label("failing"), func.max(attention.c.since).label("newest"))
    failing = failing.where(attention.c.outcome.in_(list(FAILED)))
    if filters:
        failing = failing.join(systems, systems.c.id == attention.c.system).where(*filters.attention())
    counted = failing.group_by(attention.c.system).subquery()
    rank = case(
        (counted.c.newest >= since, literal(0)),
        (counted.c.failing > 0, literal(1)),
        (systems.c.silent_from <= filters.now, literal(2)),
        else_=literal(3),
    )
    orders: dict[str, list[ColumnElement[Any]]] = {
        "attention": [rank, func.coalesce(counted.c.failing, 0).desc()],
        "name": [systems.c.system],
        "site": [],
    }
    listed = (*filters.systems(), has_tiles(filters), *visibility.limits())
    number = select(func.count()).select_from(systems).where(*listed).scalar_subquery().label("number")
    query = (
        select(systems.c.id, systems.c.site, systems.c.system, systems.c.owner, systems.c.silent_from)
        .add_columns(systems.c.skew, systems.c.contact, counted.c.failing, counted.c.newest, number)
        .outerjoin(counted, counted.c.system == systems.c.id)
        .where(*listed)
        .order_by(*orders[sort], systems.c.site, systems.c.system)
        .offset(first)
        .limit(limit)
    )
    return list(connection.execute(query))


def counted_sites(connection: Connection, visibility: Visibility) -> dict[str, int]:
    """Return the number of systems of each site."""
    query = select(systems.c.site, func.count().label("number")).group_by(systems.c.site).order_by(systems.c.site)
    return {row.site: row.number for row in connection.execute(visibility.of(query))}


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))
