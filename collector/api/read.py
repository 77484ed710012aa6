"""What can be read back: the JSON of runs, records and cells, and how the process does."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Response, get
from sqlalchemy import select

from collector.auth.visibility import visibility_of
from collector.clock import iso, now_ms
from collector.errors import Problem
from collector.outcomes import WORD, counts
from collector.status import metrics, queries
from collector.status.states import STATES, cell_states
from collector.store.tables import HEAD
from collector.web.context import Ask, server_of

JSON = "application/json"
PAGE = 1000


@get("/api/v1/runs")
async def list_runs(request: Ask) -> Response[bytes]:
    """List runs, newest first."""
    server = server_of(request)
    bearer = await server.bearer(request, "read")
    limit = _number(request, "limit", 100, 1, PAGE)
    before = request.query_params.get("before")
    asked_site, system = request.query_params.get("site"), request.query_params.get("system")
    if asked_site is not None and not bearer.allows(asked_site):
        raise Problem(403, "wrong-site", f"The token is for site {bearer.site}.", "site")

    def read() -> bytes:
        with server.store.reading() as connection:
            visibility = visibility_of(bearer) if asked_site is None else visibility_of(bearer).within(asked_site)
            rows = queries.latest_runs(connection, visibility, limit, system=system, before=before)
        following = rows[-1].run_id if len(rows) == limit else None
        return msgspec.json.encode({"runs": [_run_summary(row) for row in rows], "before": following})

    return _json(await asyncio.to_thread(read))


@get("/api/v1/runs/{run_id:str}")
async def show_run(request: Ask) -> Response[bytes]:
    """Show a run: its manifest, its newest closing and the outcome of each case."""
    run_id = str(request.path_params["run_id"])
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def read() -> bytes:
        with server.store.reading() as connection:
            run = _found(queries.find_run(connection, run_id, visibility_of(bearer)), "run", run_id)
            cells = queries.run_cells(connection, run)
        outcomes = {cell.case_id: WORD[char] for cell, char in zip(cells, run.outcomes, strict=True)}
        parts = {"manifest": _raw(run.manifest), "closing": _raw(run.closing), "outcomes": outcomes}
        return msgspec.json.encode(_run_summary(run) | parts)

    return _json(await asyncio.to_thread(read))


@get("/api/v1/runs/{run_id:str}/records")
async def show_records(request: Ask) -> Response[bytes]:
    """Return a run's records as they were sent, a page at a time."""
    run_id = str(request.path_params["run_id"])
    server = server_of(request)
    bearer = await server.bearer(request, "read")
    limit = _number(request, "limit", PAGE, 1, PAGE)
    after = _number(request, "after", 0, 0, 2**31)

    def read() -> bytes:
        with server.store.reading() as connection:
            run = _found(queries.find_run(connection, run_id, visibility_of(bearer)), "run", run_id)
            rows = queries.record_bodies(connection, run.id, after, limit)
        following = rows[-1][0] + 1 if len(rows) == limit else None
        return msgspec.json.encode({"records": [msgspec.Raw(body) for _, body in rows], "after": following})

    return _json(await asyncio.to_thread(read))


@get("/api/v1/records/{record_id:str}")
async def show_record(request: Ask) -> Response[bytes]:
    """Return one record as it was sent, with the digest that was acknowledged; a header says where its output went."""
    record_id = str(request.path_params["record_id"])
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def read() -> Response[bytes]:
        with server.store.reading() as connection:
            row = _found(queries.find_record(connection, record_id, visibility_of(bearer)), "record", record_id)
        answer = _json(bytes(_found(row.body, "body of record", record_id)))
        answer.headers["X-ExaWorks-Digest"] = bytes(row.digest).hex()
        if not queries.is_whole(row):
            answer.headers["X-ExaWorks-Pruned"] = "output-tail"
        return answer

    return await asyncio.to_thread(read)


@get("/api/v1/cells")
async def list_cells(request: Ask) -> Response[bytes]:
    """List cells with the states that are derived: flaky, failing, missing, stale."""
    server = server_of(request)
    bearer = await server.bearer(request, "read")
    asked = {name: request.query_params.get(name) for name in ("site", "system", "state")}
    if asked["state"] is not None and asked["state"] not in STATES:
        raise Problem(400, "invalid", f"state: is none of {', '.join(STATES)}.", "state")
    after = _number(request, "after", 0, 0, 2**62)

    def read() -> bytes:
        visibility = visibility_of(bearer) if asked["site"] is None else visibility_of(bearer).within(asked["site"])
        with server.store.reading() as connection:
            told, following = cell_states(connection, visibility, now_ms(), asked["system"], asked["state"], after)
        return msgspec.json.encode({"cells": told, "after": following})

    return _json(await asyncio.to_thread(read))


@get("/metrics")
async def metrics_(request: Ask) -> Response[bytes]:
    """Publish counts for Prometheus; a site that the asker may not see is not in them."""
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def read() -> bytes:
        with server.store.reading() as connection:
            return metrics.write([*server.counters.lines(), *metrics.board_lines(connection, visibility_of(bearer))])

    return Response(content=await asyncio.to_thread(read), media_type=metrics.KIND)


@get("/healthz")
async def healthz() -> Response[bytes]:
    """Say that the process answers."""
    return _json(b'{"status":"ok"}')


@get("/readyz")
async def readyz(request: Ask) -> Response[bytes]:
    """Say that the database answers too."""
    server = server_of(request)

    def read() -> None:
        with server.store.reading() as connection:
            connection.execute(select(1))

    await asyncio.to_thread(read)
    return _json(msgspec.json.encode({"status": "ok", "schema": HEAD}))


@get("/api/v1/openapi.json")
async def openapi() -> Response[bytes]:
    """Publish what this API takes and gives."""
    from collector.api.openapi import document

    return _json(msgspec.json.encode(document()))


HANDLERS = [
    list_runs,
    show_run,
    show_records,
    show_record,
    list_cells,
    metrics_,
    healthz,
    readyz,
    openapi,
]


def _number(request: Ask, name: str, default: int, low: int, high: int) -> int:
    said = request.query_params.get(name)
    if said is None:
        return default
    if not said.isascii() or not said.isdigit() or len(said) > 16 or not low <= int(said) <= high:
        raise Problem(400, "invalid", f"{name}: {said[:40]!r} is not a number from {low} to {high}.", name)
    return int(said)


def _found(value: Any, what: str, name: str) -> Any:
    if value is None:
        raise Problem(404, "not-found", f"No {what} {name[:128]!r} here.")
    return value


def _raw(body: bytes | None) -> msgspec.Raw | None:
    return None if body is None else msgspec.Raw(bytes(body))


def _run_summary(row: Any) -> dict[str, Any]:
    return {
        "run_id": row.run_id,
        "site": row.site,
        "system": row.system,
        "started": iso(row.started, "milliseconds"),
        "ended": None if row.ended is None else iso(row.ended, "milliseconds"),
        "trigger": row.trigger,
        "release": row.release,
        "tier": row.tier,
        "partial": row.partial,
        "state": row.state or "open",
        "sequence": row.sequence,
        "exit_code": row.exit_code,
        "digest": None if row.digest is None else bytes(row.digest).hex(),
        "records": row.records,
        "counts": counts(row.outcomes),
    }


def _json(body: bytes, status: int = 200) -> Response[bytes]:
    return Response(content=body, media_type=JSON, status_code=status)
