"""The pages: each asks its question of the database once and is drawn by its template."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response, get

from collector import queries, views
from collector.clock import iso, now_ms
from collector.context import Ask, Server, linker, seen_site, server_of
from collector.errors import Problem
from collector.outcomes import WORD
from dashboard_client.schema import Manifest, Record

RECENT = 25


@get("/")
async def now_page(request: Ask) -> Response[bytes]:
    """Draw what works where: the latest of each component on each system."""
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def draw() -> bytes:
        now, site = now_ms(), seen_site(bearer)
        with server.store.reading() as connection:
            rows = queries.board_rows(connection, site)
            recent = queries.latest_runs(connection, site, RECENT)
        return _draw("now.html", request, server, grid=views.now_grid(rows, now), runs=views.run_lines(recent, now))

    return _page(await asyncio.to_thread(draw))


@get("/runs/{run_id:str}")
async def run_page(request: Ask) -> Response[bytes]:
    """Draw one run: its matrix and every planned case, those that did not report included."""
    run_id = str(request.path_params["run_id"])
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def draw() -> bytes:
        now = now_ms()
        with server.store.reading() as connection:
            run = queries.find_run(connection, run_id, seen_site(bearer))
            if run is None:
                raise Problem(404, "no-such-run", f"No run {run_id[:128]} is known here.")
            cells = queries.run_cells(connection, run)
            records = queries.run_records(connection, run.id)
        manifest = msgspec.json.decode(run.manifest, type=Manifest) if run.manifest is not None else None
        return _draw("run.html", request, server, view=views.run_view(run, manifest, cells, records, now))

    return _page(await asyncio.to_thread(draw))


@get("/records/{record_id:str}")
async def record_page(request: Ask) -> Response[bytes]:
    """Draw one attempt at one case: what happened when, whose fault it is, and what shows it."""
    record_id = str(request.path_params["record_id"])
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def draw() -> bytes:
        now = now_ms()
        with server.store.reading() as connection:
            row = queries.find_record(connection, record_id, seen_site(bearer))
            if row is None:
                raise Problem(404, "no-such-record", f"No record {record_id[:64]} is known here.")
            attempts = queries.attempts(connection, row.run, row.cell)
        record = msgspec.json.decode(row.body, type=Record) if row.body is not None else None
        return _draw("record.html", request, server, view=views.record_view(row, record, attempts, now))

    return _page(await asyncio.to_thread(draw))


HANDLERS = [now_page, run_page, record_page]


@lru_cache(maxsize=1)
def _templates() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.globals.update(WORD=WORD, GLYPH=views.GLYPH)
    templates.filters.update(iso=iso, seconds=views.seconds, anchor=views.anchor)
    return templates


def _draw(template: str, request: Ask, server: Server, **values: Any) -> bytes:
    page = _templates().get_template(template)
    return page.render(link=linker(request), private=server.private, drawn=now_ms(), **values).encode()


def _page(body: bytes) -> Response[bytes]:
    return Response(content=body, media_type="text/html", headers={"Cache-Control": "no-store"})
