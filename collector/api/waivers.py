"""Waivers over HTTP: list them, and with an administrator's token add and end them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Response, get, post

from collector.auth.tokens import ANY_SITE
from collector.auth.visibility import visibility_of
from collector.clock import now_ms
from collector.errors import Problem
from collector.status.waivers import WaiverRequest, add_waiver, administrator_waivers, describe_waivers, end_waiver
from collector.web.context import HttpRequest, server_of

MAX_BYTES = 16_384


@get("/api/v1/waivers")
async def list_waivers(request: HttpRequest) -> Response[bytes]:
    """List the waivers that administrators set."""
    server = server_of(request)
    bearer = await server.bearer(request, "read")

    def read() -> bytes:
        now = now_ms()
        with server.store.reading() as connection:
            return msgspec.json.encode(
                {"waivers": describe_waivers(administrator_waivers(connection, visibility_of(bearer), now), now)}
            )

    return _json(await asyncio.to_thread(read))


@post("/api/v1/waivers")
async def create_waiver(request: HttpRequest) -> Response[bytes]:
    """Accept failures of a site until a day."""
    server = server_of(request)
    bearer = await server.bearer(request, "admin")
    async with server.bodies.receive(request, MAX_BYTES) as body:
        received = bytes(body)
    try:
        requested = msgspec.json.decode(received, type=WaiverRequest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(422, "invalid", str(error)) from error
    if not bearer.allows(requested.site):
        raise Problem(403, "wrong-site", f"The token is for site {bearer.site} only.", "site")
    key = await asyncio.to_thread(server.write, lambda connection: add_waiver(connection, requested, bearer.token))
    return _json(msgspec.json.encode({"id": key}), 201)


@post("/api/v1/waivers/{waiver:str}/end")
async def close_waiver(request: HttpRequest) -> Response[bytes]:
    """End a waiver before its last day."""
    server = server_of(request)
    bearer = await server.bearer(request, "admin")
    number = str(request.path_params["waiver"])
    site = None if bearer.site == ANY_SITE else bearer.site

    def end(connection: Any) -> bool:
        return number.isascii() and number.isdigit() and len(number) < 16 and end_waiver(connection, int(number), site)

    if not await asyncio.to_thread(server.write, end):
        detail = f"No active waiver {number[:20]!r} that the token may end. GET /api/v1/waivers lists them."
        raise Problem(404, "not-found", detail)
    return _json(msgspec.json.encode({"id": int(number), "ended": True}))


HANDLERS = [list_waivers, create_waiver, close_waiver]


def _json(body: bytes, status: int = 200) -> Response[bytes]:
    return Response(content=body, media_type="application/json", status_code=status)
