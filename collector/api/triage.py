"""Notes about the causes of failures, as JSON for programs and from the form of the triage page."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs

import msgspec
from litestar import Response, get, post
from sqlalchemy import Connection

from collector.auth.tokens import ANY_SITE, Bearer
from collector.auth.visibility import visibility_of
from collector.clock import now_ms
from collector.errors import Problem
from collector.status.triage import TriageRequest, set_note, triage_notes
from collector.store.log import add_entry
from collector.web.context import HttpRequest, entry_of, linker, server_of

MAX_BYTES = 16_384
FIELDS = ("cause_key", "site", "owner", "note", "link", "until")


@get("/api/v1/triage")
async def list_notes(request: HttpRequest) -> Response[bytes]:
    """List the notes about causes at the sites that the reader may see."""
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def read() -> bytes:
        now = now_ms()
        with server.store.reading() as connection:
            notes = triage_notes(connection, visibility_of(bearer))
        listed = [{"cause_key": key} | note.facts(now) for (_, key), note in sorted(notes.items())]
        return msgspec.json.encode({"notes": listed})

    return _json(await asyncio.to_thread(read))


@post("/api/v1/triage")
async def store_note(request: HttpRequest) -> Response[bytes]:
    """Store a note about a cause, in place of the one before."""
    bearer = await server_of(request).bearer(request, "triage")
    received = await _body(request)
    try:
        requested = msgspec.json.decode(received, type=TriageRequest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(422, "invalid", str(error)) from error
    stored = await _store(request, bearer, requested)
    return _json(msgspec.json.encode({"cause_key": requested.cause_key, "site": requested.site, "stored": stored}))


@post("/triage")
async def store_form(request: HttpRequest) -> Response[bytes]:
    """Store a note from the form of the triage page, and lead back to the cause.

    The token is in the address, as in all links of the page. There are no cookies, so that no other page can send it.
    """
    bearer = await server_of(request).bearer(request, "triage")
    received = await _body(request)
    try:
        values = parse_qs(received.decode(), max_num_fields=len(FIELDS) + 2, strict_parsing=bool(received))
    except ValueError as error:
        raise Problem(422, "invalid", f"The form cannot be read: {error}.") from error
    fields: dict[str, Any] = {name: values[name][0] for name in FIELDS if values.get(name)}
    requested = TriageRequest(**{"cause_key": "", "site": bearer.site} | fields)
    await _store(request, bearer, requested)
    headers = {"Location": linker(request)("triage", cause=requested.cause_key), "Cache-Control": "no-store"}
    return Response(content=b"", media_type="text/plain", status_code=303, headers=headers)


async def _body(request: HttpRequest) -> bytes:
    async with server_of(request).bodies.receive(request, MAX_BYTES) as body:
        return bytes(body)


async def _store(request: HttpRequest, bearer: Bearer, requested: TriageRequest) -> bool:
    if not bearer.allows(requested.site):
        raise Problem(403, "wrong-site", f"The token is for site {bearer.site} only.", "site")

    def work(connection: Connection) -> bool:
        stored = set_note(connection, requested, bearer.writer)
        named = [f"{name} {value}" for name in FIELDS[2:] if (value := getattr(requested, name))]
        place = {"site": None if requested.site == ANY_SITE else requested.site, "subject": requested.cause_key[:256]}
        action = "triage.set" if stored else "triage.clear"
        entry = entry_of(request, action, bearer, status=200, detail="; ".join(named) or None, **place)
        add_entry(connection, now_ms(), entry)
        return stored

    return await asyncio.to_thread(server_of(request).write, work)


HANDLERS = [list_notes, store_note, store_form]


def _json(body: bytes) -> Response[bytes]:
    return Response(content=body, media_type="application/json", status_code=200)
