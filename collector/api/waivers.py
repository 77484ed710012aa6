"""Waivers over HTTP: list them, and with an administrator's token add and end them."""

from __future__ import annotations

import asyncio

import msgspec
from litestar import Response, get, post
from sqlalchemy import Connection

from collector.auth.tokens import ANY_SITE
from collector.auth.visibility import visibility_of
from collector.clock import now_ms
from collector.errors import Problem
from collector.status.waivers import WaiverRequest, add_waiver, administrator_waivers, describe_waivers, end_waiver
from collector.store.log import add_entry
from collector.web.context import HttpRequest, entry_of, server_of

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

    def add(connection: Connection) -> int:
        key = add_waiver(connection, requested, bearer.token)
        place = {"site": requested.site, "system": requested.system, "subject": str(key)}
        detail = f"{requested.cases} until {requested.expires}: {requested.reason}"
        add_entry(connection, now_ms(), entry_of(request, "waiver.add", bearer, status=201, detail=detail, **place))
        return key

    key = await asyncio.to_thread(server.write, add)
    return _json(msgspec.json.encode({"id": key}), 201)


@post("/api/v1/waivers/{waiver:str}/end")
async def close_waiver(request: HttpRequest) -> Response[bytes]:
    """End a waiver before its last day."""
    server = server_of(request)
    bearer = await server.bearer(request, "admin")
    number = str(request.path_params["waiver"])
    site = None if bearer.site == ANY_SITE else bearer.site

    def end(connection: Connection) -> bool:
        known = number.isascii() and number.isdigit() and len(number) < 16
        ended = known and end_waiver(connection, int(number), site)
        if ended:
            fields = {"site": site, "subject": number}
            add_entry(connection, now_ms(), entry_of(request, "waiver.end", bearer, status=200, **fields))
        return ended

    if not await asyncio.to_thread(server.write, end):
        detail = f"No active waiver {number[:20]!r} that the token may end. GET /api/v1/waivers lists them."
        raise Problem(404, "not-found", detail)
    return _json(msgspec.json.encode({"id": int(number), "ended": True}))


HANDLERS = [list_waivers, create_waiver, close_waiver]


def _json(body: bytes, status: int = 200) -> Response[bytes]:
    return Response(content=body, media_type="application/json", status_code=status)
