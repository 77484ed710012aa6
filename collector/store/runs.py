"""Opening and closing runs; each function does all its work in the transaction it is given, roll-ups included."""

from __future__ import annotations

import hashlib
import json

from sqlalchemy import Connection, insert, select, update

from collector.clock import duration_seconds
from collector.errors import Problem
from collector.outcomes import MISSING
from collector.store.decoding import Close, Opening
from collector.store.names import (
    CellName,
    cell_keys,
    conflict,
    contacted,
    elsewhere,
    hold_system_of,
    plan_key,
    run_query,
    system_key,
)
from collector.store.rollups import note_full_runs, parse_cells, positions, settle
from collector.store.tables import closings, runs
from dashboard_client.schema import Manifest


def store_manifest(connection: Connection, opening: Opening, now: int, origin: str | None = None) -> bool:
    """Open a run, or give one that is known by its records its manifest; False where it is there already.

    Raises:
        Problem: 409, the run is there with another manifest or belongs to another system.
    """
    manifest = opening.manifest
    system = system_key(connection, manifest.site, manifest.system)
    contacted(connection, [system], now)
    row = connection.execute(run_query().where(runs.c.run_id == manifest.run_id)).one_or_none()
    if row is not None and row.system != system:
        raise elsewhere(manifest.run_id)
    if row is not None and row.digest is not None:
        if row.digest == opening.digest:
            return False
        raise conflict(f"Run {manifest.run_id} is there with another manifest.", row.digest, opening.digest)
    names = [
        CellName(planned.case_id, planned.component, tuple(planned.partners), planned.tier.value)
        for planned in manifest.planned
    ]
    keys = cell_keys(connection, system, names)
    layout = [keys[name.case_id] for name in names]
    before = dict(zip(parse_cells(row.extra), row.outcomes, strict=True)) if row is not None else {}
    planned_cells = set(layout)
    extra = [cell for cell in before if cell not in planned_cells]
    values = {
        "system": system,
        "digest": opening.digest,
        "manifest": opening.body,
        "started": opening.started,
        "trigger": manifest.trigger[:64],
        "release": (manifest.release or "")[:128] or None,
        "tier": manifest.selection.tier.value,
        "partial": manifest.selection.partial,
        "stale_after": duration_seconds(manifest.stale_after),
        "cadence": duration_seconds(manifest.cadence),
        "stack": stack_of(manifest),
        "origin": origin,
        "plan": plan_key(connection, layout),
        "extra": json.dumps(extra, separators=(",", ":")),
        "outcomes": "".join(before.get(cell, MISSING) for cell in [*layout, *extra]),
    }
    if row is None:
        connection.execute(insert(runs).values(run_id=manifest.run_id, received=now, records=0, **values))
    else:
        connection.execute(update(runs).where(runs.c.id == row.id).values(**values))
        if row.state is not None:
            note_full_runs(connection, system)
        settle(connection, system, {row.id: [*layout, *extra]}, moved=True)
    return True


def store_closing(connection: Connection, run_id: str, close: Close, allowed: str, now: int) -> None:
    """Close a run; the highest sequence counts, whichever comes last.

    Raises:
        Problem: 404 no such run, 403 it is another site's, 409 the sequence is there with other content.
    """
    hold_system_of(connection, run_id)
    row = connection.execute(run_query().where(runs.c.run_id == run_id)).one_or_none()
    if row is None:
        raise Problem(404, "no-such-run", f"No run {run_id[:128]!r}: send its manifest or a record of it first.")
    if allowed not in ("*", row.site):
        raise Problem(403, "wrong-site", f"The token is for site {allowed}, the run is of site {row.site}.", "run_id")
    contacted(connection, [row.system], now)
    closing = close.closing
    same = (closings.c.run == row.id, closings.c.sequence == closing.sequence)
    stored = connection.execute(select(closings.c.digest).where(*same)).scalar()
    if stored is not None:
        if stored == close.digest:
            return
        raise conflict(f"Run {run_id} is closed as {closing.sequence} with other content.", stored, close.digest)
    fact = {"run": row.id, "sequence": closing.sequence, "digest": close.digest, "body": close.body}
    connection.execute(insert(closings).values(**fact, received=now))
    if row.sequence is not None and row.sequence > closing.sequence:
        return
    values = {"sequence": closing.sequence, "state": closing.state, "ended": close.ended}
    connection.execute(update(runs).where(runs.c.id == row.id).values(**values, exit_code=closing.exit_code))
    settle(connection, row.system, {row.id: positions(row.plan_cells, row.extra)})
    note_full_runs(connection, row.system)


def stack_of(manifest: Manifest) -> str | None:
    """Return a short name for what is under test; it changes whenever a deployment does."""
    if not manifest.deployments:
        return None
    told = sorted((each.name, each.kind, each.digest) for each in manifest.deployments)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
