"""Open and close runs and update the roll-ups, all in the transaction of the caller."""

from __future__ import annotations

import hashlib
import json

from sqlalchemy import Connection, insert, select, update

from collector.clock import duration_seconds
from collector.errors import Problem
from collector.outcomes import MISSING
from collector.store.decoding import DecodedClosing, DecodedManifest
from collector.store.months import insert_run
from collector.store.names import (
    CellName,
    SystemRow,
    ambiguous_run,
    cell_keys,
    conflict,
    find_system,
    note_contact,
    plan_key,
    run_query,
    systems_of_run,
    writer_key,
)
from collector.store.overdue import due_of
from collector.store.owners import note_owner
from collector.store.rollups import note_full_runs, parse_cells, positions, update_rollups
from collector.store.silence import note_cadence
from collector.store.tables import closings, runs
from dashboard_client.schema import Manifest


def store_manifest(
    connection: Connection,
    decoded: DecodedManifest,
    now: int,
    origin: str | None = None,
    ended: bool = False,
    writer: str | None = None,
) -> bool:
    """Open a run, or add the manifest of a run that is known from its records. Return False if it was already stored.

    ``ended``: the sender states that the run has ended, and that its closing follows. ``writer``: who sent it.

    Raises:
        Problem: 409 if the run is stored with another manifest.
    """
    manifest = decoded.manifest
    system = find_system(connection, manifest.site, manifest.system).key
    note_contact(connection, [system], now, decoded.clock.skew)
    of_system = (runs.c.run_id == manifest.run_id, runs.c.system == system)
    row = connection.execute(run_query().where(*of_system)).one_or_none()
    if row is not None and row.digest is not None:
        if row.digest == decoded.digest:
            return False
        raise conflict(f"Run {manifest.run_id} is already stored with another manifest.", row.digest, decoded.digest)
    names = [
        CellName(planned.case_id, planned.component, tuple(planned.partners), planned.tier.value, origin is not None)
        for planned in manifest.planned
    ]
    keys = cell_keys(connection, system, names)
    layout = [keys[name.case_id] for name in names]
    before = dict(zip(parse_cells(row.extra), row.outcomes, strict=True)) if row is not None else {}
    planned_cells = set(layout)
    extra = [cell for cell in before if cell not in planned_cells]
    values = {
        "system": system,
        "digest": decoded.digest,
        "manifest": decoded.body,
        "started": decoded.started,
        "skew": decoded.clock.excess,
        "due": due_of(manifest, decoded.started, now, ended) if row is None or row.state is None else None,
        "trigger": manifest.trigger[:64],
        "release": (manifest.release or "")[:128] or None,
        "tier": manifest.selection.tier.value,
        "partial": manifest.selection.partial,
        "stale_after": duration_seconds(manifest.stale_after),
        "cadence": duration_seconds(manifest.cadence),
        "stack": stack_of(manifest),
        "origin": origin,
        "owner": (manifest.owner or "").replace("\0", "\ufffd")[:128] or None,
        "writer": writer_key(connection, writer),
        "plan": plan_key(connection, layout),
        "extra": json.dumps(extra, separators=(",", ":")),
        "outcomes": "".join(before.get(cell, MISSING) for cell in [*layout, *extra]),
    }
    if row is None:
        new = {"run_id": manifest.run_id, "received": now, "records": 0, **values}
        insert_run(connection, new, decoded.started, now)
    else:
        connection.execute(update(runs).where(runs.c.id == row.id).values(**values))
        if row.state is not None:
            note_full_runs(connection, system)
        update_rollups(connection, system, {row.id: [*layout, *extra]}, moved=True)
    note_owner(connection, system)
    if values["cadence"] is not None:
        note_cadence(connection, system)
    return True


def store_closing(
    connection: Connection,
    run_id: str,
    decoded: DecodedClosing,
    site: str,
    now: int,
    system: str | None = None,
    writer: str | None = None,
) -> SystemRow | None:
    """Close a run. The closing with the highest sequence counts, in any order of arrival.

    ``site``: the site of the run, or ``*`` if the sender may write every site and names none. ``system``: None if the
    sender does not name it. ``writer``: who sent it. Return the system of the run, or None if this closing was stored
    before.

    Raises:
        Problem: 404 if the run is unknown, 409 if several systems have it, or if the sequence is stored with other
            content.
    """
    places = systems_of_run(connection, run_id, None if site == "*" else site, system)
    if not places:
        of = f" of {site}/{system}" if system is not None else "" if site == "*" else f" of site {site}"
        detail = f"No run {run_id[:128]!r}{of} is known. Send its manifest or one of its records first."
        raise Problem(404, "no-such-run", detail, "run_id")
    if len(places) > 1:
        advice = "Add ?site=SITE&system=SYSTEM to the address."
        raise ambiguous_run(run_id, (f"{place.site}/{place.system}" for place in places), advice)
    row = connection.execute(run_query().where(runs.c.run_id == run_id, runs.c.system == places[0].key)).one()
    note_contact(connection, [row.system], now, decoded.clock.skew)
    closing = decoded.closing
    same = (closings.c.run == row.id, closings.c.sequence == closing.sequence)
    stored = connection.execute(select(closings.c.digest).where(*same)).scalar()
    if stored is not None:
        if stored == decoded.digest:
            return None
        detail = f"Closing {closing.sequence} of run {run_id} is already stored with other content."
        raise conflict(detail, stored, decoded.digest)
    values = {"run": row.id, "sequence": closing.sequence, "digest": decoded.digest, "body": decoded.body}
    connection.execute(insert(closings).values(**values, received=now, writer=writer_key(connection, writer)))
    if row.sequence is not None and row.sequence > closing.sequence:
        return places[0]
    rollup = {"sequence": closing.sequence, "state": closing.state, "ended": decoded.ended}
    rollup |= {"due": None, "overdue": False}
    connection.execute(update(runs).where(runs.c.id == row.id).values(**rollup, exit_code=closing.exit_code))
    cells = positions(row.plan_cells, row.extra)
    if not row.overdue:  # only what has no record becomes something else when a run is closed: pending becomes missing
        cells = {cell: place for cell, place in cells.items() if row.outcomes[place] == MISSING}
    update_rollups(connection, row.system, {row.id: cells}, moved=row.overdue)
    note_full_runs(connection, row.system)
    return places[0]


def stack_of(manifest: Manifest) -> str | None:
    """Return a short digest of the deployments under test; it changes whenever a deployment changes."""
    if not manifest.deployments:
        return None
    deployments = sorted((each.name, each.kind, each.digest) for each in manifest.deployments)
    return hashlib.sha256(json.dumps(deployments).encode()).hexdigest()[:16]
