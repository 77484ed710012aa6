"""Find or create the systems, cells and plans that facts refer to, and the problems that name them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from collector.errors import Problem
from collector.store.bulk import among
from collector.store.tables import cells, plans, runs, systems


@dataclass(frozen=True)
class CellName:
    """The values of a new cell, from a plan or from the first record of an unplanned case."""

    case_id: str
    component: str
    partners: tuple[str, ...]
    tier: str

    def row(self, system: int) -> dict[str, Any]:
        subject = "+".join([self.component, *self.partners])[:256]
        scheduler = self.case_id.rpartition("@")[2].partition("/")[0][:256] if "@" in self.case_id else ""
        values = {"case_id": self.case_id, "component": self.component, "subject": subject}
        return {"system": system, **values, "scheduler": scheduler, "tier": self.tier}


def run_query() -> Any:
    """Return the query that selects and locks runs, with site and plan but without the manifest."""
    columns = [column for column in runs.c if column.name != "manifest"]
    query = select(*columns, systems.c.site, plans.c.cells.label("plan_cells"))
    joined = query.join(systems, systems.c.id == runs.c.system).outerjoin(plans, plans.c.id == runs.c.plan)
    return joined.with_for_update(of=runs, key_share=True)


def system_key(connection: Connection, site: str, system: str) -> int:
    """Return the key of a system, create the system if it is new, and lock it until the commit."""
    query = (
        select(systems.c.id).where(systems.c.site == site, systems.c.system == system).with_for_update(key_share=True)
    )
    key: int | None = connection.execute(query).scalar()
    if key is None:
        key = connection.execute(insert(systems).values(site=site, system=system).returning(systems.c.id)).scalar_one()
    return key


def note_contact(connection: Connection, keys: Iterable[int], now: int, skew: int | None = None) -> None:
    """Store the time of the last contact of systems, and how far the clock of the sender was ahead."""
    later = func.coalesce(systems.c.contact, 0) < now
    values = {"contact": now, "skew": skew}
    connection.execute(update(systems).where(systems.c.id.in_(sorted(keys)), later).values(**values))


def lock_system_of(connection: Connection, run_id: str) -> None:
    """Lock the system of a run. Every writer locks the system before the run, so that no deadlock is possible."""
    of_run = select(runs.c.system).where(runs.c.run_id == run_id).scalar_subquery()
    connection.execute(select(systems.c.id).where(systems.c.id == of_run).with_for_update(key_share=True))


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
    wanted = among(connection, cells.c.case_id, case_ids)
    rows = connection.execute(select(cells.c.case_id, cells.c.id).where(cells.c.system == system, wanted))
    return {row.case_id: row.id for row in rows}


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


def run_of_another_system(run_id: str) -> Problem:
    """Return the problem that a run belongs to another system."""
    detail = f"Run {run_id} belongs to another site or system. Use another run_id."
    return Problem(409, "run-of-another-system", detail, "run_id")
