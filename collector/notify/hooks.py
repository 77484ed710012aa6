"""Hooks: addresses that are told when something newly fails or works again, or once a day how everything stands.

What is to be told is worked out from what each cell was last told as, and written down in the transaction that notes
the new state: a change is told once, also when the collector is killed between, and nothing of it lies on the way of
ingest. A run tells when it is closed, or when it has been open for so long that it will not be.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, case, delete, insert, literal, select, update

from collector.auth.visibility import EVERYTHING
from collector.clock import iso
from collector.errors import HookError
from collector.outcomes import PASS, WORD
from collector.store.tables import cells, deliveries, hooks, records, runs, systems, told

CHANGE, DIGEST = "change", "digest"
FAILING = "fei"
ABANDONED_MS = 6 * 3_600_000
DAY_MS = 86_400_000


def new_hook(connection: Connection, url: str, kind: str, site: str | None, hour: int | None, now: int) -> str:
    """Keep a hook and return its id; failures that are there already are not told as new.

    Raises:
        HookError: the address is none that can be told.
    """
    parts = urlsplit(url)
    if parts.scheme == "mailto" and "@" in parts.path and kind == DIGEST:
        pass
    elif parts.scheme not in ("http", "https") or not parts.hostname or len(url) > 1024:
        raise HookError(f"{url[:200]!r} is no address to tell: https://…, or mailto:… for a digest.")
    identity = secrets.token_hex(4)
    if not connection.execute(select(hooks.c.id).where(hooks.c.kind == CHANGE).limit(1)).all():
        connection.execute(delete(told))
        state = case((cells.c.last_outcome == PASS, literal("p")), else_=literal("f"))
        known = select(cells.c.id, state).where(cells.c.last_outcome.in_([PASS, *FAILING]))
        connection.execute(insert(told).from_select(["cell", "state"], known))
    values = {"id": identity, "url": url, "kind": kind, "site": site, "hour": hour if kind == DIGEST else None}
    connection.execute(insert(hooks).values(**values, made=now))
    return identity


def list_hooks(connection: Connection) -> list[dict[str, Any]]:
    """Return every hook, with how many deliveries wait and the newest error."""
    found = []
    for row in connection.execute(select(hooks).order_by(hooks.c.made, hooks.c.id)):
        waiting = connection.execute(
            select(deliveries.c.error, deliveries.c.tries)
            .where(deliveries.c.hook == row.id, deliveries.c.sent.is_(None))
            .order_by(deliveries.c.id.desc())
        ).all()
        error = next((each.error for each in waiting if each.error), None)
        found.append({**row._mapping, "waiting": len(waiting), "error": error})
    return found


def remove_hook(connection: Connection, identity: str) -> None:
    """Forget a hook and what it was still to be told.

    Raises:
        HookError: there is no such hook.
    """
    connection.execute(delete(deliveries).where(deliveries.c.hook == identity))
    if not connection.execute(delete(hooks).where(hooks.c.id == identity)).rowcount:
        raise HookError(f"no hook {identity[:40]!r}. `exaworks collector hook list` shows their ids.")


def signing_key(key: bytes, identity: str) -> bytes:
    """Return the key of a hook's signatures: derived from the server's, so that none is stored."""
    return hmac.new(key, f"hook:{identity}".encode(), hashlib.sha256).hexdigest().encode()


def note_changes(connection: Connection, now: int) -> int:
    """Write down what has changed since it was last told; return how many deliveries that makes."""
    subscribed = connection.execute(select(hooks).where(hooks.c.kind == CHANGE)).all()
    if not subscribed:
        return 0
    changed = _changed(connection, now)
    states = [{"cell": row.id, "state": _state(row)} for row in changed]
    for some in range(0, len(states), 500):
        part = states[some : some + 500]
        connection.execute(delete(told).where(told.c.cell.in_([each["cell"] for each in part])))
        connection.execute(insert(told), part)
    by_run: dict[str, list[Row[Any]]] = {}
    for row in changed:
        if not (row.state is None and _state(row) == "p"):  # a new case that works is no news
            by_run.setdefault(row.run_id, []).append(row)
    made = 0
    for run_id, rows in sorted(by_run.items()):
        body = _event(run_id, rows, now)
        name = f"change:{run_id}:{hashlib.sha256(repr([(r.id, _state(r)) for r in rows]).encode()).hexdigest()[:12]}"
        made += sum(_put(connection, hook, name, body, now) for hook in subscribed if hook.site in (None, rows[0].site))
    return made


def note_digests(connection: Connection, now: int) -> int:
    """Write down the digests that are due; return how many."""
    from collector.notify.digest import digest

    hour = now % DAY_MS // 3_600_000
    made = 0
    for hook in connection.execute(select(hooks).where(hooks.c.kind == DIGEST)).all():
        name = f"digest:{iso(now)[:10]}"
        known = select(deliveries.c.id).where(deliveries.c.hook == hook.id, deliveries.c.name == name)
        if hour < (hook.hour or 0) or connection.execute(known).scalar() is not None:
            continue
        visibility = EVERYTHING if hook.site is None else EVERYTHING.within(hook.site)
        made += _put(connection, hook, name, digest(connection, visibility, now), now)
    return made


def _changed(connection: Connection, now: int) -> list[Row[Any]]:
    state = case((cells.c.last_outcome == PASS, literal("p")), else_=literal("f"))
    query = (
        select(cells.c.id, cells.c.case_id, cells.c.last_outcome, cells.c.last_version, told.c.state, runs.c.run_id)
        .add_columns(systems.c.site, systems.c.system, records.c.cause, records.c.phase, records.c.rule)
        .add_columns(records.c.evidence)
        .join(systems, systems.c.id == cells.c.system)
        .join(runs, runs.c.id == cells.c.last_run)
        .outerjoin(told, told.c.cell == cells.c.id)
        .outerjoin(records, records.c.id == cells.c.last_record)
        .where(cells.c.last_outcome.in_([PASS, *FAILING]))
        .where(told.c.state.is_(None) | (told.c.state != state))
        .where(runs.c.state.is_not(None) | (runs.c.started < now - ABANDONED_MS))
        .order_by(cells.c.id)
    )
    return list(connection.execute(query))


def _state(row: Row[Any]) -> str:
    return "p" if row.last_outcome == PASS else "f"


def _event(run_id: str, rows: Iterable[Row[Any]], now: int) -> dict[str, Any]:
    failed, recovered = [], []
    site = system = ""
    for row in rows:
        site, system = row.site, row.system
        about = {"case_id": row.case_id, "outcome": WORD[row.last_outcome], "version": row.last_version}
        if row.last_outcome == PASS:
            recovered.append(about)
        else:
            cause = {"class": row.cause, "phase": row.phase, "rule": row.rule, "evidence": row.evidence}
            failed.append(about | {"cause": cause})
    told_of = {"event": CHANGE, "at": iso(now), "site": site, "system": system, "run_id": run_id}
    return {**told_of, "failed": failed, "recovered": recovered}


def _put(connection: Connection, hook: Row[Any], name: str, body: dict[str, Any], now: int) -> int:
    there = select(deliveries.c.id).where(deliveries.c.hook == hook.id, deliveries.c.name == name)
    if connection.execute(there).scalar() is not None:
        return 0
    values = {"hook": hook.id, "name": name, "body": json.dumps(body, default=str).encode()}
    connection.execute(insert(deliveries).values(**values, made=now, due=now, tries=0))
    return 1


def claim(connection: Connection, now: int, until: int, most: int) -> list[Row[Any]]:
    """Return deliveries that are due, each taken by this caller alone until the given time."""
    query = (
        select(deliveries, hooks.c.url, hooks.c.kind)
        .join(hooks, hooks.c.id == deliveries.c.hook)
        .where(deliveries.c.sent.is_(None), deliveries.c.due <= now)
        .order_by(deliveries.c.due, deliveries.c.id)
        .limit(most)
    )
    taken = []
    for row in connection.execute(query).all():
        mine = update(deliveries).where(deliveries.c.id == row.id, deliveries.c.due == row.due).values(due=until)
        if connection.execute(mine).rowcount:
            taken.append(row)
    return taken


def any_hooks(connection: Connection) -> bool:
    """Tell whether anyone is to be told anything."""
    return connection.execute(select(hooks.c.id).limit(1)).scalar() is not None
