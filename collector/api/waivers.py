"""Waivers over HTTP, for administrators' tokens: list, add, end."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Response, get, post

from collector.auth.tokens import ANY_SITE
from collector.auth.visibility import visibility_of
from collector.clock import now_ms
from collector.errors import Problem
from collector.status.waivers import Asked, add_waiver, described, end_waiver, standing
from collector.web.context import Ask, server_of

MOST_BYTES = 16_384


@get("/api/v1/waivers")
async def list_waivers(request: Ask) -> Response[bytes]:
    """List the waivers that administrators set."""
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def read() -> bytes:
        now = now_ms()
        with server.store.reading() as connection:
            return msgspec.json.encode({"waivers": described(standing(connection, visibility_of(bearer), now), now)})

    return _json(await asyncio.to_thread(read))


@post("/api/v1/waivers")
async def make_waiver(request: Ask) -> Response[bytes]:
    """Let failures of a site stand until a day."""
    server = server_of(request)
    bearer = await server.bearer(request, "admin")
    body = await request.body()
    if len(body) > MOST_BYTES:
        raise Problem(413, "too-large", f"A waiver takes {MOST_BYTES} bytes.")
    try:
        asked = msgspec.json.decode(body, type=Asked)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(422, "invalid", str(error)) from error
    if not bearer.allows(asked.site):
        raise Problem(403, "wrong-site", f"The token is for site {bearer.site}.", "site")
    key = await asyncio.to_thread(server.write, lambda connection: add_waiver(connection, asked, bearer.token))
    return _json(msgspec.json.encode({"id": key}), 201)


@post("/api/v1/waivers/{waiver:str}/end")
async def finish_waiver(request: Ask) -> Response[bytes]:
    """End a waiver before its day."""
    server = server_of(request)
    bearer = await server.bearer(request, "admin")
    said = str(request.path_params["waiver"])
    site = None if bearer.site == ANY_SITE else bearer.site

    def end(connection: Any) -> bool:
        return said.isascii() and said.isdigit() and len(said) < 16 and end_waiver(connection, int(said), site)

    if not await asyncio.to_thread(server.write, end):
        raise Problem(404, "not-found", f"No waiver {said[:20]!r} stands here.")
    return _json(msgspec.json.encode({"id": int(said), "ended": True}))


HANDLERS = [list_waivers, make_waiver, finish_waiver]


def _json(body: bytes, status: int = 200) -> Response[bytes]:
    return Response(content=body, media_type="application/json", status_code=status)
