"""The ingest API.

Every write is idempotent: the same bytes again change nothing and are acknowledged with the same digest, which is
sent only when the transactions are committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import msgspec
from litestar import Response, post

from collector.auth.tokens import Bearer
from collector.clock import now_ms
from collector.errors import Problem
from collector.limits import inflate
from collector.store.decoding import Arrival, read_batch, read_closing, read_manifest
from collector.store.records import Refusal, store_records
from collector.store.runs import store_closing, store_manifest
from collector.web.context import Ask, Server, server_of

JSON = "application/json"

AT_ONCE = 750
"""Records of a batch that are decoded and stored in one transaction, which bounds memory."""

AT_MOST = 1250
"""And with the rest of a run begun: each part that a run comes in costs as much as a hundred records."""


@post("/api/v1/runs")
async def open_run(request: Ask) -> Response[bytes]:
    """Open a run with its manifest."""
    server = server_of(request)
    bearer = await server.bearer(request, "upload")
    body = await _body(request)
    async with server.room(body):
        return await asyncio.to_thread(_open_run, server, bearer, body, _encoding(request))


@post("/api/v1/records")
async def add_records(request: Ask) -> Response[bytes]:
    """Add a batch of records; one that is wrong does not keep the others out."""
    server = server_of(request)
    bearer = await server.bearer(request, "upload")
    body = await _body(request)
    async with server.room(body):
        return await asyncio.to_thread(_add_records, server, bearer, body, _encoding(request))


@post("/api/v1/runs/{run_id:str}/close")
async def close_run(request: Ask) -> Response[bytes]:
    """Close a run; a resume closes it again with a higher sequence."""
    run_id = str(request.path_params["run_id"])
    server = server_of(request)
    bearer = await server.bearer(request, "upload")
    body = await _body(request)
    async with server.room(body):
        return await asyncio.to_thread(_close_run, server, bearer, run_id, body, _encoding(request))


HANDLERS = [open_run, add_records, close_run]


def _open_run(server: Server, bearer: Bearer, body: bytearray, encoding: str) -> Response[bytes]:
    now = now_ms()
    opening = read_manifest(inflate(body, encoding), now)
    manifest = opening.manifest
    if not bearer.allows(manifest.site):
        raise Problem(403, "wrong-site", f"The token is for site {bearer.site}, the run says {manifest.site}.", "site")
    stored = server.write(lambda connection: store_manifest(connection, opening, now))
    answer = {"run_id": manifest.run_id, "digest": opening.digest.hex(), "stored": stored}
    return _json(msgspec.json.encode(answer), 201 if stored else 200)


def _add_records(server: Server, bearer: Bearer, body: bytearray, encoding: str) -> Response[bytes]:
    now = now_ms()
    acknowledged: list[dict[str, str]] = []
    refused: list[Refusal] = []
    items = read_batch(inflate(body, encoding), now)
    for some in parts(items):
        _add_some(server, bearer, some, now, acknowledged, refused)
    server.counters.add("exaworks_collector_records_total", len(acknowledged))
    server.counters.add("exaworks_collector_rejected_total", len(refused))
    server.counters.add("exaworks_collector_ingest_seconds_total", (now_ms() - now) / 1000)
    rejected = [
        {"index": index, "record_id": record_id, "problem": problem.document()}
        for index, record_id, problem in sorted(refused, key=lambda refusal: refusal[0])
    ]
    return _json(msgspec.json.encode({"acknowledged": acknowledged, "rejected": rejected}))


def parts(items: Iterable[Arrival | Refusal]) -> Iterator[list[Arrival | Refusal]]:
    """Yield what is stored at once, with the records of a run together while there is room for them."""
    some: list[Arrival | Refusal] = []
    run = None
    for item in items:
        of_run = item.record.run_id if isinstance(item, Arrival) else run
        if len(some) == AT_MOST or (len(some) >= AT_ONCE and of_run != run):
            yield some
            some = []
        run = of_run
        some.append(item)
    if some:
        yield some


def _add_some(
    server: Server,
    bearer: Bearer,
    items: list[Arrival | Refusal],
    now: int,
    acknowledged: list[dict[str, str]],
    refused: list[Refusal],
) -> None:
    """Store part of a batch, and say of each record whether it is stored."""
    arrivals: list[Arrival] = []
    out: list[Refusal] = []
    for item in items:
        if not isinstance(item, Arrival):
            out.append(item)
        elif bearer.allows(item.record.context.site):
            arrivals.append(item)
        else:
            detail = f"The token is for site {bearer.site}, the record says {item.record.context.site}."
            problem = Problem(403, "wrong-site", detail, "context.site")
            out.append((item.index, item.record.record_id, problem))
    if arrivals:
        out += server.write(lambda connection: store_records(connection, arrivals, now))
    without = {index for index, _, _ in out}
    acknowledged += [
        {"record_id": arrival.record.record_id, "digest": arrival.digest.hex()}
        for arrival in arrivals
        if arrival.index not in without
    ]
    refused += out


def _close_run(server: Server, bearer: Bearer, run_id: str, body: bytearray, encoding: str) -> Response[bytes]:
    now = now_ms()
    close = read_closing(inflate(body, encoding), now)
    server.write(lambda connection: store_closing(connection, run_id, close, bearer.site, now))
    answer = {"run_id": run_id, "digest": close.digest.hex(), "sequence": close.closing.sequence}
    return _json(msgspec.json.encode(answer))


async def _body(request: Ask) -> bytearray:
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind != JSON:
        raise Problem(415, "content-type", f"Content-Type {kind[:60]!r} is not taken; send application/json.")
    body = bytearray()  # parts joined at the end would be there twice
    async for part in request.stream():
        body += part
    return body


def _encoding(request: Ask) -> str:
    return request.headers.get("content-encoding", "").strip().lower()


def _json(body: bytes, status: int = 200) -> Response[bytes]:
    return Response(content=body, media_type=JSON, status_code=status)
