"""Hooks: addresses that get a message when cases newly fail or pass again, or a digest once a day.

Changes are found by comparing each cell with the state that was last reported for it. The message is stored in the
transaction that updates the reported state, so each change is reported once, even if the collector is killed, and
ingest never waits for it. The changes of a run are reported when the run is closed or overdue, or when it has been open
for longer than ``ABANDONED_MS``. A silent system is reported once, also to a hook that is newer than the silence; so is
its next run.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Connection, Row, case, delete, insert, literal, select, update

from collector.auth.visibility import EVERYTHING
from collector.clock import iso
from collector.errors import HookError
from collector.notify.options import HookOptions, read_options
from collector.outcomes import MISSING, OUTCOME_NAMES, PASS
from collector.store.silence import is_silent
from collector.store.tables import cells, deliveries, hooks, records, reported_states, runs, systems

CHANGE, DIGEST = "change", "digest"
SILENT, REPORTING = "silent", "reporting"
FAILING = "fei" + MISSING
ABANDONED_MS = 6 * 3_600_000
DAY_MS = 86_400_000


def new_hook(
    connection: Connection,
    url: str,
    kind: str,
    site: str | None,
    hour: int | None,
    now: int,
    options: HookOptions | None = None,
) -> str:
    """Store a hook and return its id; failures that already exist are not reported as new.

    Raises:
        HookError: the address cannot receive messages of this kind.
    """
    parts = urlsplit(url)
    if parts.scheme == "mailto" and "@" in parts.path and kind == DIGEST:
        pass
    elif parts.scheme not in ("http", "https") or not parts.hostname or len(url) > 1024:
        raise HookError(
            f"{url[:200]!r} is not a valid hook address. Use https://… or http://…; for a digest also mailto:NAME@HOST."
        )
    identity = secrets.token_hex(4)
    if not connection.execute(select(hooks.c.id).where(hooks.c.kind == CHANGE).limit(1)).all():
        connection.execute(delete(reported_states))
        state = case((cells.c.last_outcome == PASS, literal("p")), else_=literal("f"))
        present = select(cells.c.id, state).where(cells.c.last_outcome.in_([PASS, *FAILING]))
        connection.execute(insert(reported_states).from_select(["cell", "state"], present))
    values = {"id": identity, "url": url, "kind": kind, "site": site, "hour": hour if kind == DIGEST else None}
    packed = msgspec.json.encode(options).decode() if options is not None else None
    connection.execute(insert(hooks).values(**values, made=now, options=packed))
    return identity


def list_hooks(connection: Connection) -> list[dict[str, Any]]:
    """Return every hook, with the number of waiting deliveries and the newest error."""
    listed = []
    for row in connection.execute(select(hooks).order_by(hooks.c.made, hooks.c.id)):
        waiting = connection.execute(
            select(deliveries.c.error, deliveries.c.tries)
            .where(deliveries.c.hook == row.id, deliveries.c.sent.is_(None))
            .order_by(deliveries.c.id.desc())
        ).all()
        error = next((each.error for each in waiting if each.error), None)
        options = msgspec.to_builtins(read_options(row.options))
        listed.append({**row._mapping, "options": options, "waiting": len(waiting), "error": error})
    return listed


def remove_hook(connection: Connection, identity: str) -> None:
    """Delete a hook and its waiting deliveries.

    Raises:
        HookError: there is no such hook.
    """
    connection.execute(delete(deliveries).where(deliveries.c.hook == identity))
    if not connection.execute(delete(hooks).where(hooks.c.id == identity)).rowcount:
        raise HookError(f"no hook {identity[:40]!r}. `exaworks collector hook list` shows their ids.")


def signing_key(key: bytes, identity: str) -> bytes:
    """Return the key that signs the messages of a hook; it is derived from the server's key and not stored."""
    return hmac.new(key, f"hook:{identity}".encode(), hashlib.sha256).hexdigest().encode()


def queue_changes(connection: Connection, now: int) -> int:
    """Queue messages about the changes since the last report; return the number of new deliveries."""
    subscribed = connection.execute(select(hooks).where(hooks.c.kind == CHANGE)).all()
    if not subscribed:
        return 0
    changed = _changed(connection, now)
    states = [{"cell": row.id, "state": _state(row)} for row in changed]
    for start in range(0, len(states), 500):
        part = states[start : start + 500]
        connection.execute(delete(reported_states).where(reported_states.c.cell.in_([each["cell"] for each in part])))
        connection.execute(insert(reported_states), part)
    by_run: dict[tuple[str, str, str], list[Row[Any]]] = {}
    for row in changed:
        if not (row.state is None and _state(row) == "p"):  # a new case that passes is not reported
            by_run.setdefault((row.site, row.system, row.run_id), []).append(row)
    queued = 0
    for (_, _, run_id), rows in sorted(by_run.items()):
        name = f"change:{run_id}:{hashlib.sha256(repr([(r.id, _state(r)) for r in rows]).encode()).hexdigest()[:12]}"
        for hook in subscribed:
            options = read_options(hook.options)
            wanted = [row for row in rows if options.wants(row.subject, row.owner, _class(row))]
            if "change" in options.events and hook.site in (None, rows[0].site) and wanted:
                queued += queue(connection, hook, name, _event(run_id, wanted, now), now)
    return queued


def queue_silences(connection: Connection, now: int) -> int:
    """Queue messages about systems that are silent, and about those that report again; return how many."""
    subscribed = connection.execute(select(hooks).where(hooks.c.kind == CHANGE)).all()
    if not subscribed:
        return 0
    silent = systems.c.silent_from <= now
    query = select(systems).where(silent | systems.c.silence_reported.is_not(None))
    queued = 0
    for row in connection.execute(query.order_by(systems.c.id)).all():
        is_now = is_silent(row.silent_from, now)
        since = row.silent_from if is_now else row.silence_reported
        event = SILENT if is_now else REPORTING
        place = {"site": row.site, "system": row.system, "since": iso(since)}
        body = {"event": event, "at": iso(now), **place, "contact": None if row.contact is None else iso(row.contact)}
        name = f"{event}:{row.site}/{row.system}:{since}"
        if len(name) > 192:
            name = f"{event}:{hashlib.sha256(name.encode()).hexdigest()}"
        for hook in subscribed:
            options = read_options(hook.options)
            if SILENT in options.events and hook.site in (None, row.site) and options.owns(row.owner):
                queued += queue(connection, hook, name, body, now)
        reported = row.silent_from if is_now else None
        if row.silence_reported != reported:
            connection.execute(update(systems).where(systems.c.id == row.id).values(silence_reported=reported))
    return queued


def queue_digests(connection: Connection, now: int) -> int:
    """Queue the digests that are due; return how many."""
    from collector.notify.digest import digest

    hour = now % DAY_MS // 3_600_000
    queued = 0
    for hook in connection.execute(select(hooks).where(hooks.c.kind == DIGEST)).all():
        name = f"digest:{iso(now)[:10]}"
        earlier = select(deliveries.c.id).where(deliveries.c.hook == hook.id, deliveries.c.name == name)
        if hour < (hook.hour or 0) or connection.execute(earlier).scalar() is not None:
            continue
        visibility = EVERYTHING if hook.site is None else EVERYTHING.within(hook.site)
        queued += queue(connection, hook, name, digest(connection, visibility, now), now)
    return queued


def _changed(connection: Connection, now: int) -> list[Row[Any]]:
    state = case((cells.c.last_outcome == PASS, literal("p")), else_=literal("f"))
    query = (
        select(
            cells.c.id,
            cells.c.case_id,
            cells.c.last_outcome,
            cells.c.last_version,
            reported_states.c.state,
            runs.c.run_id,
        )
        .add_columns(systems.c.site, systems.c.system, systems.c.owner, records.c.cause, records.c.phase)
        .add_columns(records.c.rule, records.c.evidence, records.c.cause_key, records.c.title, cells.c.subject)
        .join(systems, systems.c.id == cells.c.system)
        .join(runs, runs.c.id == cells.c.last_run)
        .outerjoin(reported_states, reported_states.c.cell == cells.c.id)
        .outerjoin(records, records.c.id == cells.c.last_record)
        .where(cells.c.last_outcome.in_([PASS, *FAILING]))
        .where(reported_states.c.state.is_(None) | (reported_states.c.state != state))
        .where(runs.c.state.is_not(None) | runs.c.overdue | (runs.c.started < now - ABANDONED_MS))
        .order_by(cells.c.id)
    )
    return list(connection.execute(query))


def _class(row: Row[Any]) -> str | None:
    """Return the fault class of a failure, or None for a case that passes or has no record."""
    return None if row.last_outcome == PASS else row.cause


def _state(row: Row[Any]) -> str:
    return "p" if row.last_outcome == PASS else "f"


def _event(run_id: str, rows: Iterable[Row[Any]], now: int) -> dict[str, Any]:
    failed, recovered = [], []
    site = system = ""
    for row in rows:
        site, system = row.site, row.system
        entry = {"case_id": row.case_id, "outcome": OUTCOME_NAMES[row.last_outcome], "version": row.last_version}
        if row.last_outcome == PASS:
            recovered.append(entry)
        else:
            cause = {"class": row.cause, "phase": row.phase, "rule": row.rule, "evidence": row.evidence}
            cause |= {"key": row.cause_key, "title": row.title}
            failed.append(entry | {"cause": cause})
    heading = {"event": CHANGE, "at": iso(now), "site": site, "system": system, "run_id": run_id}
    return {**heading, "failed": failed, "recovered": recovered}


def queue(connection: Connection, hook: Row[Any], name: str, body: dict[str, Any], now: int) -> int:
    """Queue a message for a hook, unless one of this name was queued before; return how many were queued."""
    earlier = select(deliveries.c.id).where(deliveries.c.hook == hook.id, deliveries.c.name == name)
    if connection.execute(earlier).scalar() is not None:
        return 0
    values = {"hook": hook.id, "name": name, "body": json.dumps(body, default=str).encode()}
    due = read_options(hook.options).due(now)
    connection.execute(insert(deliveries).values(**values, made=now, due=due, tries=0))
    return 1


def claim(connection: Connection, now: int, until: int, most: int) -> list[Row[Any]]:
    """Return deliveries that are due, each claimed for this caller alone until the given time.

    With a delivery to a chat come all others that wait for the same hook, so that they become one message.
    """
    query = (
        select(deliveries, hooks.c.url, hooks.c.kind, hooks.c.options)
        .join(hooks, hooks.c.id == deliveries.c.hook)
        .where(deliveries.c.sent.is_(None), deliveries.c.due <= now)
        .order_by(deliveries.c.due, deliveries.c.id)
        .limit(most)
    )
    claimed = []
    rows = list(connection.execute(query).all())
    for hook in {row.hook for row in rows if read_options(row.options).shape != "json" and row.kind == CHANGE}:
        further = select(deliveries, hooks.c.url, hooks.c.kind, hooks.c.options)
        further = further.join(hooks, hooks.c.id == deliveries.c.hook)
        gathered = further.where(deliveries.c.hook == hook, deliveries.c.sent.is_(None), deliveries.c.tries == 0)
        known = {row.id for row in rows}
        rows += [row for row in connection.execute(gathered.limit(most)) if row.id not in known]
    for row in rows:
        claiming = update(deliveries).where(deliveries.c.id == row.id, deliveries.c.due == row.due).values(due=until)
        if connection.execute(claiming).rowcount:
            claimed.append(row)
    return claimed


def any_hooks(connection: Connection) -> bool:
    """Return whether any hook exists."""
    return connection.execute(select(hooks.c.id).limit(1)).scalar() is not None
