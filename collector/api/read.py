"""The JSON of runs, records and cells, and the health of the process."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Response, get

from collector.auth.visibility import visibility_of
from collector.clock import iso, now_ms
from collector.errors import Problem
from collector.outcomes import OUTCOME_NAMES, counts
from collector.status import metrics, queries
from collector.status.filters import Filters
from collector.status.states import STATES, cell_states
from collector.store.overdue import viewing
from collector.store.rollups import state_of
from collector.store.tables import HEAD
from collector.web.bookkeeping import store_notes
from collector.web.context import HttpRequest, server_of

JSON = "application/json"
PAGE = 1000


@get("/api/v1/runs")
async def list_runs(request: HttpRequest) -> Response[bytes]:
    """List runs, newest first."""
    server = server_of(request)
    bearer = await server.bearer(request, "read")
    limit = _number(request, "limit", 100, 1, PAGE)
    before = request.query_params.get("before")
    now = now_ms()
    filters = Filters.of(request.query_params, now)
    for site in filters.get("site"):
        if not bearer.allows(site):
            raise Problem(403, "wrong-site", f"The token is for site {bearer.site}, not for {site[:128]}.", "site")

    def read() -> bytes:
        with viewing(server.store, now, server.write) as connection:
            visibility = visibility_of(bearer)
            rows = queries.latest_runs(connection, visibility, limit, before=before, conditions=filters.runs())
        following = queries.run_name(rows[-1]) if len(rows) == limit else None
        return msgspec.json.encode({"runs": [_run_summary(row) for row in rows], "before": following})

    return _json(await asyncio.to_thread(read))


@get("/api/v1/runs/{run_id:str}")
async def show_run(request: HttpRequest) -> Response[bytes]:
    """Return a run: its manifest, its newest closing and the outcome of each case."""
    run_id = str(request.path_params["run_id"])
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def read() -> bytes:
        with viewing(server.store, now_ms(), server.write) as connection:
            found = queries.find_run(connection, run_id, visibility_of(bearer), *_place(request))
            run = _existing(found, "run", run_id)
            cells = queries.run_cells(connection, run)
        outcomes = {cell.case_id: OUTCOME_NAMES[char] for cell, char in zip(cells, run.outcomes, strict=True)}
        parts = {"manifest": _raw(run.manifest), "closing": _raw(run.closing), "outcomes": outcomes}
        return msgspec.json.encode(_run_summary(run) | parts)

    return _json(await asyncio.to_thread(read))


@get("/api/v1/runs/{run_id:str}/records")
async def show_records(request: HttpRequest) -> Response[bytes]:
    """Return a page of the records of a run, as they were sent."""
    run_id = str(request.path_params["run_id"])
    server = server_of(request)
    bearer = await server.bearer(request, "read")
    limit = _number(request, "limit", PAGE, 1, PAGE)
    after = _number(request, "after", 0, 0, 2**31)

    def read() -> bytes:
        with server.store.reading() as connection:
            found = queries.find_run(connection, run_id, visibility_of(bearer), *_place(request))
            run = _existing(found, "run", run_id)
            rows = queries.record_bodies(connection, run.id, after, limit)
        following = rows[-1][0] + 1 if len(rows) == limit else None
        return msgspec.json.encode({"records": [msgspec.Raw(body) for _, body in rows], "after": following})

    return _json(await asyncio.to_thread(read))


@get("/api/v1/records/{record_id:str}")
async def show_record(request: HttpRequest) -> Response[bytes]:
    """Return one record as it was sent.

    Headers give the digest that was acknowledged, and ``X-ExaWorks-Pruned`` if retention removed the output tail.
    """
    record_id = str(request.path_params["record_id"])
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def read() -> Response[bytes]:
        with server.store.reading() as connection:
            row = _existing(queries.find_record(connection, record_id, visibility_of(bearer)), "record", record_id)
        answer = _json(bytes(_existing(row.body, "body of record", record_id)))
        answer.headers["X-ExaWorks-Digest"] = bytes(row.digest).hex()
        if not queries.is_whole(row):
            answer.headers["X-ExaWorks-Pruned"] = "output-tail"
        return answer

    return await asyncio.to_thread(read)


@get("/api/v1/cells")
async def list_cells(request: HttpRequest) -> Response[bytes]:
    """List cells with their derived states: flaky, failing, missing, stale."""
    server = server_of(request)
    bearer = await server.bearer(request, "read")
    state = request.query_params.get("state")
    if state is not None and state not in STATES:
        raise Problem(400, "invalid", f"state: must be one of {', '.join(STATES)}.", "state")
    after = _number(request, "after", 0, 0, 2**62)

    now = now_ms()
    filters = Filters.of(request.query_params, now).without("state")

    def read() -> bytes:
        with viewing(server.store, now, server.write) as connection:
            cells, following = cell_states(connection, visibility_of(bearer), now, filters, state, after)
        return msgspec.json.encode({"cells": cells, "after": following})

    return _json(await asyncio.to_thread(read))


@get("/metrics")
async def metrics_(request: HttpRequest) -> Response[bytes]:
    """Return the metrics for Prometheus; they contain only the sites that the caller may see."""
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def read() -> bytes:
        store_notes(server)
        now = now_ms()
        filters = Filters.of(request.query_params, now)
        with viewing(server.store, now, server.write) as connection:
            own = metrics.process_lines(connection, now)
            lines = metrics.board_lines(connection, visibility_of(bearer), now, filters)
            return metrics.write([*own, *lines])

    return Response(content=await asyncio.to_thread(read), media_type=metrics.KIND)


@get("/healthz")
async def healthz() -> Response[bytes]:
    """Report that the process answers."""
    return _json(b'{"status":"ok"}')


@get("/readyz")
async def readyz(request: HttpRequest) -> Response[bytes]:
    """Report whether the database can be written, and the revision of the schema."""
    server = server_of(request)
    await asyncio.to_thread(server.readiness.check, server.store)
    return _json(msgspec.json.encode({"status": "ok", "schema": HEAD}))


@get("/api/v1/openapi.json")
async def openapi(request: HttpRequest) -> Response[bytes]:
    """Return the OpenAPI description of this API."""
    from collector.api.openapi import document

    return _json(msgspec.json.encode(document(request.app.state.pages)))


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


def _number(request: HttpRequest, name: str, default: int, low: int, high: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 16 or not low <= int(text) <= high:
        raise Problem(400, "invalid", f"{name}: {text[:40]!r} is not a number from {low} to {high}.", name)
    return int(text)


def _place(request: HttpRequest) -> tuple[str | None, str | None]:
    """Return the site and the system that select one of several runs with the same id."""
    return request.query_params.get("site"), request.query_params.get("system")


def _existing(value: Any, kind: str, name: str) -> Any:
    if value is None:
        raise Problem(404, "not-found", f"No {kind} {name[:128]!r} is known, or you may not see its site.")
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
        "state": state_of(row),
        "sequence": row.sequence,
        "exit_code": row.exit_code,
        "digest": None if row.digest is None else bytes(row.digest).hex(),
        "records": row.records,
        "counts": counts(row.outcomes),
    }


def _json(body: bytes, status: int = 200) -> Response[bytes]:
    return Response(content=body, media_type=JSON, status_code=status)
