"""The ingest API: open a run, add records, close a run.

Every write is idempotent: the same bytes sent again change nothing and get the same digest as acknowledgement. A digest
is sent only after the transaction is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import msgspec
from litestar import Response, post

from collector.auth.tokens import Bearer
from collector.clock import now_ms
from collector.errors import Problem
from collector.limits import MAX_BODY, inflate
from collector.store.client_clock import HEADER, measured_skew
from collector.store.decoding import DecodedRecord, read_batch, read_closing, read_manifest
from collector.store.records import Refusal, store_records
from collector.store.runs import store_closing, store_manifest
from collector.web.context import HttpRequest, Server, server_of

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
        return await asyncio.to_thread(_open_run, server, bearer, body, _encoding(request), skew, ended)


@post("/api/v1/records")
async def add_records(request: HttpRequest) -> Response[bytes]:
    """Add a batch of records; a wrong record is rejected and the others are stored."""
    server = server_of(request)
    bearer = await server.bearer(request, "upload")
    _check_content_type(request)
    skew = skew_of(request)
    async with server.bodies.receive(request, MAX_BODY) as body, server.decoding_slot(body):
        return await asyncio.to_thread(_add_records, server, bearer, body, _encoding(request), skew)


@post("/api/v1/runs/{run_id:str}/close")
async def close_run(request: HttpRequest) -> Response[bytes]:
    """Close a run; a resumed run is closed again with a higher sequence."""
    run_id = str(request.path_params["run_id"])
    server = server_of(request)
    bearer = await server.bearer(request, "upload")
    _check_content_type(request)
    skew = skew_of(request)
    async with server.bodies.receive(request, MAX_BODY) as body, server.decoding_slot(body):
        return await asyncio.to_thread(_close_run, server, bearer, run_id, body, _encoding(request), skew)


HANDLERS = [open_run, add_records, close_run]


def skew_of(request: HttpRequest) -> int | None:
    """Return how far the clock of the client is ahead, in milliseconds; None if it does not send its time.

    Call it when the request arrives and before its body is received, which may take long.
    """
    return measured_skew(request.headers.get(HEADER), now_ms())


def _open_run(
    server: Server, bearer: Bearer, body: bytearray, encoding: str, skew: int | None, ended: bool
) -> Response[bytes]:
    now = now_ms()
    decoded = read_manifest(inflate(body, encoding), now, skew)
    manifest = decoded.manifest
    if not bearer.allows(manifest.site):
        detail = f"The token is for site {bearer.site}, and the manifest is of site {manifest.site}."
        raise Problem(403, "wrong-site", detail, "site")
    stored = server.write(lambda connection: store_manifest(connection, decoded, now, ended=ended))
    answer = {"run_id": manifest.run_id, "digest": decoded.digest.hex(), "stored": stored}
    return _json(msgspec.json.encode(answer), 201 if stored else 200)


def _add_records(server: Server, bearer: Bearer, body: bytearray, encoding: str, skew: int | None) -> Response[bytes]:
    now = now_ms()
    acknowledged: list[dict[str, str]] = []
    refused: list[Refusal] = []
    items = read_batch(inflate(body, encoding), now, skew)
    for part in split_batch(items):
        _add_part(server, bearer, part, now, acknowledged, refused)
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
    if accepted:
        refusals += server.write(lambda connection: store_records(connection, accepted, now))
    refused_indexes = {index for index, _, _ in refusals}
    acknowledged += [
        {"record_id": decoded.record.record_id, "digest": decoded.digest.hex()}
        for decoded in accepted
        if decoded.index not in refused_indexes
    ]
    refused += refusals


def _close_run(
    server: Server, bearer: Bearer, run_id: str, body: bytearray, encoding: str, skew: int | None
) -> Response[bytes]:
    now = now_ms()
    decoded = read_closing(inflate(body, encoding), now, skew)
    server.write(lambda connection: store_closing(connection, run_id, decoded, bearer.site, now))
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
