"""Find or create the systems, cells and plans that facts refer to, and the problems that name them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Update, bindparam, func, insert, select, update

from collector.errors import Problem
from collector.store.bulk import among_parameter, packed
from collector.store.tables import cells, former_names, plans, runs, systems, writers
from dashboard_client.schema import deployment_label


@dataclass(frozen=True)
class CellName:
    """The values of a new cell, from a plan or from the first record of an unplanned case."""

    case_id: str
    component: str
    partners: tuple[str, ...]
    tier: str
    imported: bool = False

    def row(self, system: int) -> dict[str, Any]:
        label = deployment_label(self.case_id)
        subject = "+".join([self.component, *self.partners, *([f"in {label}"] if label else [])])[:256]
        scheduler = self.case_id.rpartition("@")[2].partition("/")[0][:256] if "@" in self.case_id else ""
        values = {"case_id": self.case_id, "component": self.component, "subject": subject}
        return {"system": system, **values, "scheduler": scheduler, "tier": self.tier, "imported": self.imported}


@cache
def run_query() -> Any:
    """Return the query that selects and locks runs, with site and plan but without the manifest."""
    columns = [column for column in runs.c if column.name != "manifest"]
    query = select(*columns, systems.c.site, plans.c.cells.label("plan_cells"))
    joined = query.join(systems, systems.c.id == runs.c.system).outerjoin(plans, plans.c.id == runs.c.plan)
    return joined.with_for_update(of=runs, key_share=True)


class SystemRow(NamedTuple):
    """A system: its key, and its present name, which may differ from the one that a client sent."""

    key: int
    site: str
    system: str


def known_system(connection: Connection, site: str, system: str) -> SystemRow | None:
    """Return the system that has this name or had it before it was renamed, and lock it until the commit.

    A former name counts only within its site: a token of that site must not write to a system that another site got.
    """
    row = connection.execute(_system_query(), {"of_site": site, "named": system}).one_or_none()
    if row is None:
        joined = _systems_query().join(former_names, former_names.c.key == systems.c.id)
        former = joined.where(former_names.c.site == site, former_names.c.system == system, systems.c.site == site)
        row = connection.execute(former).one_or_none()
    return None if row is None else SystemRow(*row)


@cache
def _systems_query() -> Select[Any]:
    return select(systems.c.id, systems.c.site, systems.c.system).with_for_update(of=systems, key_share=True)


@cache
def _system_query() -> Select[Any]:
    return _systems_query().where(systems.c.site == bindparam("of_site"), systems.c.system == bindparam("named"))


def find_system(connection: Connection, site: str, system: str) -> SystemRow:
    """Return a system by its present or a former name, create the system if it is new, and lock it until the commit."""
    known = known_system(connection, site, system)
    if known is not None:
        return known
    key = connection.execute(insert(systems).values(site=site, system=system).returning(systems.c.id)).scalar_one()
    return SystemRow(key, site, system)


def writer_key(connection: Connection, name: str | None) -> int | None:
    """Return the key of a writer, such as ``token:1f0c22ab``; create it if it is new."""
    if name is None:
        return None
    key: int | None = connection.execute(select(writers.c.id).where(writers.c.name == name)).scalar()
    if key is None:
        key = connection.execute(insert(writers).values(name=name).returning(writers.c.id)).scalar_one()
    return key


def note_contact(connection: Connection, keys: Iterable[int], now: int, skew: int | None = None) -> None:
    """Store the time of the last contact of systems, and how far the clock of the sender was ahead."""
    values = {"keys": packed(connection, sorted(keys)), "now": now, "measured": skew}
    connection.execute(_contact(connection.dialect.name), values)


@cache
def _contact(dialect: str) -> Update:
    now = bindparam("now", type_=systems.c.contact.type)
    later = func.coalesce(systems.c.contact, 0) < now
    of_these = update(systems).where(among_parameter(dialect, systems.c.id, "keys"), later)
    return of_these.values(contact=now, skew=bindparam("measured"))


def systems_of_run(connection: Connection, run_id: str, site: str | None, system: str | None) -> list[SystemRow]:
    """Return the systems that have a run of this id, and lock them; ``site`` and ``system`` restrict the search.

    Every writer locks the system before the run, so that no deadlock is possible.
    """
    if site is not None and system is not None:
        known = known_system(connection, site, system)
        if known is None:
            return []
        own = select(runs.c.id).where(runs.c.run_id == run_id, runs.c.system == known.key)
        return [known] if connection.execute(own).scalar() is not None else []
    having = select(runs.c.system).where(runs.c.run_id == run_id)
    query = select(systems.c.id, systems.c.site, systems.c.system).where(systems.c.id.in_(having))
    if site is not None:
        query = query.where(systems.c.site == site)
    if system is not None:
        query = query.where(systems.c.system == system)
    rows = connection.execute(query.order_by(systems.c.id).with_for_update(key_share=True))
    return [SystemRow(*row) for row in rows]


def cell_keys(connection: Connection, system: int, names: Iterable[CellName]) -> dict[str, int]:
    """Return the key of the cell of each case; create the cells that are new."""
    wanted = {name.case_id: name for name in names}
    keys = _find_cells(connection, system, wanted)
    new = [name.row(system) for case_id, name in wanted.items() if case_id not in keys]
    if new:
        connection.execute(insert(cells), new)
        keys |= _find_cells(connection, system, [row["case_id"] for row in new])
    return keys


def _find_cells(connection: Connection, system: int, case_ids: Iterable[str]) -> dict[str, int]:
    values = {"of_system": system, "wanted": packed(connection, case_ids)}
    return dict(connection.execute(_cells_query(connection.dialect.name), values).all())


@cache
def _cells_query(dialect: str) -> Select[Any]:
    of_system = select(cells.c.case_id, cells.c.id).where(cells.c.system == bindparam("of_system"))
    return of_system.where(among_parameter(dialect, cells.c.case_id, "wanted"))


def plan_key(connection: Connection, layout: list[int]) -> int:
    """Return the key of a plan, and create the plan if it is new; most runs of a system share one."""
    packed = json.dumps(layout, separators=(",", ":"))
    digest = hashlib.sha256(packed.encode()).digest()
    key: int | None = connection.execute(select(plans.c.id).where(plans.c.digest == digest)).scalar()
    if key is None:
        key = connection.execute(insert(plans).values(digest=digest, cells=packed).returning(plans.c.id)).scalar_one()
    return key


def conflict(detail: str, stored: bytes, sent: bytes) -> Problem:
    """Return the problem that an id is stored with other content; it names both digests."""
    return Problem(409, "conflict", detail, stored_digest=bytes(stored).hex(), sent_digest=sent.hex())


def ambiguous_run(run_id: str, places: Iterable[str], advice: str) -> Problem:
    """Return the problem that several systems have a run of this id; ``places`` are those that the client may know."""
    listed = ", ".join(sorted(places)[:20])
    return Problem(409, "ambiguous-run", f"Several systems have a run {run_id[:128]!r}: {listed}. {advice}", "run_id")
