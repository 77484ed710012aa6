"""The ingest API: open a run, add records, close a run.

Every write is idempotent: the same bytes sent again change nothing and get the same digest as acknowledgement. A digest
is sent only after the transaction is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import msgspec
from litestar import Response, post
from sqlalchemy import Connection

from collector.auth.tokens import ANY_SITE, Bearer
from collector.clock import now_ms
from collector.errors import Problem
from collector.limits import MAX_BODY, inflate
from collector.store.client_clock import HEADER, measured_skew
from collector.store.decoding import DecodedRecord, read_batch, read_closing, read_manifest
from collector.store.log import add_entry
from collector.store.records import Refusal, store_records
from collector.store.runs import store_closing, store_manifest
from collector.web.context import HttpRequest, Server, entry_of, server_of

JSON = "application/json"

RUN_STATE = "X-ExaWorks-Run"
"""The header by which the sender of a manifest states that the run has ended, and that its closing follows."""

PART_RECORDS = 750
"""The number of records after which a part of a batch ends with its run. This limits the memory of a transaction."""

MAX_PART_RECORDS = 1250
"""The largest number of records in a part. Dividing a run costs as much as storing a hundred records."""


@post("/api/v1/runs")
async def open_run(request: HttpRequest) -> Response[bytes]:
    """Open a run with its manifest."""
    server = server_of(request)
    bearer = await server.bearer(request, "upload")
    _check_content_type(request)
    skew, ended = skew_of(request), request.headers.get(RUN_STATE) == "ended"
    async with server.bodies.receive(request, MAX_BODY) as body, server.decoding_slot(body):
        return await asyncio.to_thread(_open_run, server, request, bearer, body, skew, ended)


@post("/api/v1/records")
async def add_records(request: HttpRequest) -> Response[bytes]:
    """Add a batch of records; a wrong record is rejected and the others are stored."""
    server = server_of(request)
    bearer = await server.bearer(request, "upload")
    _check_content_type(request)
    skew = skew_of(request)
    async with server.bodies.receive(request, MAX_BODY) as body, server.decoding_slot(body):
        return await asyncio.to_thread(_add_records, server, request, bearer, body, skew)


@post("/api/v1/runs/{run_id:str}/close")
async def close_run(request: HttpRequest) -> Response[bytes]:
    """Close a run; a resumed run is closed again with a higher sequence."""
    run_id = str(request.path_params["run_id"])
    server = server_of(request)
    bearer = await server.bearer(request, "upload")
    _check_content_type(request)
    skew = skew_of(request)
    async with server.bodies.receive(request, MAX_BODY) as body, server.decoding_slot(body):
        return await asyncio.to_thread(_close_run, server, request, bearer, run_id, body, skew)


HANDLERS = [open_run, add_records, close_run]


def skew_of(request: HttpRequest) -> int | None:
    """Return how far the clock of the client is ahead, in milliseconds; None if it does not send its time.

    Call it when the request arrives and before its body is received, which may take long.
    """
    return measured_skew(request.headers.get(HEADER), now_ms())


def _open_run(
    server: Server, request: HttpRequest, bearer: Bearer, body: bytearray, skew: int | None, ended: bool
) -> Response[bytes]:
    now = now_ms()
    decoded = read_manifest(inflate(body, _encoding(request)), now, skew)
    manifest = decoded.manifest
    if not bearer.allows(manifest.site):
        detail = f"The token is for site {bearer.site}, and the manifest is of site {manifest.site}."
        raise Problem(403, "wrong-site", detail, "site")
    place = {"site": manifest.site, "system": manifest.system, "subject": manifest.run_id}

    def store(connection: Connection) -> bool:
        stored = store_manifest(connection, decoded, now, ended=ended, writer=bearer.writer)
        if stored:
            add_entry(connection, now, entry_of(request, "run.open", bearer, status=201, **place))
        return stored

    stored = server.write(store)
    answer = {"run_id": manifest.run_id, "digest": decoded.digest.hex(), "stored": stored}
    return _json(msgspec.json.encode(answer), 201 if stored else 200)


def _add_records(
    server: Server, request: HttpRequest, bearer: Bearer, body: bytearray, skew: int | None
) -> Response[bytes]:
    now = now_ms()
    acknowledged: list[dict[str, str]] = []
    refused: list[Refusal] = []
    items = read_batch(inflate(body, _encoding(request)), now, skew)
    for part in split_batch(items):
        _add_part(server, request, bearer, part, now, acknowledged, refused)
    server.counters.add("exaworks_collector_records_total", len(acknowledged))
    server.counters.add("exaworks_collector_rejected_total", len(refused))
    server.counters.add("exaworks_collector_ingest_seconds_total", (now_ms() - now) / 1000)
    rejected = [
        {"index": index, "record_id": record_id, "problem": problem.document()}
        for index, record_id, problem in sorted(refused, key=lambda refusal: refusal[0])
    ]
    return _json(msgspec.json.encode({"acknowledged": acknowledged, "rejected": rejected}))


def split_batch(items: Iterable[DecodedRecord | Refusal]) -> Iterator[list[DecodedRecord | Refusal]]:
    """Yield the parts of a batch that are stored in one transaction each; a run is kept in one part if it fits."""
    part: list[DecodedRecord | Refusal] = []
    run = None
    for item in items:
        of_run = item.record.run_id if isinstance(item, DecodedRecord) else run
        if len(part) == MAX_PART_RECORDS or (len(part) >= PART_RECORDS and of_run != run):
            yield part
            part = []
        run = of_run
        part.append(item)
    if part:
        yield part


def _add_part(
    server: Server,
    request: HttpRequest,
    bearer: Bearer,
    items: list[DecodedRecord | Refusal],
    now: int,
    acknowledged: list[dict[str, str]],
    refused: list[Refusal],
) -> None:
    """Store a part of a batch; add each of its records to ``acknowledged`` or to ``refused``."""
    accepted: list[DecodedRecord] = []
    refusals: list[Refusal] = []
    for item in items:
        if not isinstance(item, DecodedRecord):
            refusals.append(item)
        elif bearer.allows(item.record.context.site):
            accepted.append(item)
        else:
            detail = f"The token is for site {bearer.site}, and the record is of site {item.record.context.site}."
            problem = Problem(403, "wrong-site", detail, "context.site")
            refusals.append((item.index, item.record.record_id, problem))

    def store(connection: Connection) -> list[Refusal]:
        not_stored = store_records(connection, accepted, now, bearer.writer)
        count = len(accepted) - len(not_stored)
        if count:
            entry = entry_of(request, "records.add", bearer, status=200, count=count, **_place(accepted))
            add_entry(connection, now, entry)
        return not_stored

    if accepted:
        refusals += server.write(store)
    refused_indexes = {index for index, _, _ in refusals}
    acknowledged += [
        {"record_id": decoded.record.record_id, "digest": decoded.digest.hex()}
        for decoded in accepted
        if decoded.index not in refused_indexes
    ]
    refused += refusals


def _place(accepted: list[DecodedRecord]) -> dict[str, str]:
    """Return the site, the system and the run of records for the audit log; of several runs, the first."""
    first = accepted[0].record
    more = len({each.record.run_id for each in accepted}) - 1
    subject = f"{first.run_id} and {more} other runs" if more else first.run_id
    return {"site": first.context.site, "system": first.context.system, "subject": subject}


def _close_run(
    server: Server, request: HttpRequest, bearer: Bearer, run_id: str, body: bytearray, skew: int | None
) -> Response[bytes]:
    now = now_ms()
    decoded = read_closing(inflate(body, _encoding(request)), now, skew)
    site, system = request.query_params.get("site"), request.query_params.get("system")
    if site is not None and not bearer.allows(site):
        raise Problem(403, "wrong-site", f"The token is for site {bearer.site}, not for {site[:128]}.", "site")
    if site is None and bearer.site != ANY_SITE:
        site = bearer.site

    def store(connection: Connection) -> None:
        of = store_closing(connection, run_id, decoded, site or ANY_SITE, now, system, bearer.writer)
        if of is not None:
            place = {"site": of.site, "system": of.system, "subject": run_id}
            add_entry(connection, now, entry_of(request, "run.close", bearer, status=200, **place))

    server.write(store)
    answer = {"run_id": run_id, "digest": decoded.digest.hex(), "sequence": decoded.closing.sequence}
    return _json(msgspec.json.encode(answer))


def _check_content_type(request: HttpRequest) -> None:
    content_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if content_type != JSON:
        detail = f"Content-Type {content_type[:60]!r} is not supported. Send {JSON}."
        raise Problem(415, "content-type", detail)


def _encoding(request: HttpRequest) -> str:
    return request.headers.get("content-encoding", "").strip().lower()


def _json(body: bytes, status: int = 200) -> Response[bytes]:
    return Response(content=body, media_type=JSON, status_code=status)
