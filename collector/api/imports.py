"""Results that other tools send: the old ``POST /result``, JUnit XML, and the E4S testsuite's JSON."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Response, post
from sqlalchemy import Connection

from collector import limits
from collector.auth.tokens import ANY_SITE, Bearer, check_sender
from collector.clock import iso, now_ms
from collector.errors import Problem
from collector.importers.common import Finding, Source, closing_of, instant, manifest_of, name_of, record_of
from collector.importers.e4s import read_e4s
from collector.importers.junit import read_junit
from collector.importers.legacy import Parcel, read_parcel
from collector.limits import inflate
from collector.store.decoding import Arrival, is_name, read_batch, read_closing, read_manifest
from collector.store.legacy import store_parcel
from collector.store.records import store_records
from collector.store.runs import store_closing, store_manifest
from collector.web.context import Ask, Server, server_of
from dashboard_client.schema import Origin, encode

JSON = "application/json"
XML = ("application/xml", "text/xml")


@post("/result")
async def add_result(request: Ask) -> Response[bytes]:
    """Take one message of an old client; its key decides whose it is."""
    server = server_of(request)
    asker = request.client.host if request.client is not None else ""
    server.guesses.look(asker)
    _kind(request, (JSON,))
    body = await request.body()
    encoding = request.headers.get("content-encoding", "").strip().lower()

    def work() -> bytes:
        now = now_ms()
        whole = inflate(body, encoding)
        if limits.too_deep(whole):
            raise Problem(422, "too-deep", f"Nested more than {limits.MAX_DEPTH} deep.")
        parcel = read_parcel(whole)
        try:
            site, system = _whose(server, parcel, now)
        except Problem as problem:
            if problem.status == 401:
                server.guesses.take(asker)
            raise
        server.rates.take(f"sender:{parcel.sender}")
        told = server.write(lambda connection: store_parcel(connection, parcel, site, system, now))
        return msgspec.json.encode({"success": True} | told)

    async with server.room(body):
        return _json(await asyncio.to_thread(work))


@post("/api/v1/import/junit")
async def import_junit(request: Ask) -> Response[bytes]:
    """Take a JUnit XML file as one run."""

    def read(body: bytes, asked: dict[str, str]) -> tuple[list[Finding], str | None]:
        report = read_junit(body, asked.get("component"), asked.get("scheduler", "local"))
        return report.findings, report.started

    return await _import(request, Origin.JUNIT, (*XML, JSON), read)


@post("/api/v1/import/e4s")
async def import_e4s(request: Ask) -> Response[bytes]:
    """Take a result file of the E4S testsuite as one run."""

    def read(body: bytes, asked: dict[str, str]) -> tuple[list[Finding], str | None]:
        return read_e4s(body, asked.get("scheduler", "local")), None

    return await _import(request, Origin.E4S, (JSON,), read)


HANDLERS = [add_result, import_junit, import_e4s]


async def _import(request: Ask, origin: Origin, kinds: Sequence[str], read: Any) -> Response[bytes]:
    server = server_of(request)
    bearer = await server.bearer(request, "upload")
    _kind(request, kinds)
    asked = {name: str(value) for name, value in request.query_params.items()}
    for name in ("site", "system", "run", "component", "scheduler"):
        if name in asked and not is_name(asked[name]):
            raise Problem(422, "invalid", f"{name}: is not 1 to 128 letters, digits and . _ : + @ -.", name)
    if "system" not in asked:
        raise Problem(422, "invalid", "system: say which system the results are of: ?system=NAME.", "system")
    body = await request.body()
    encoding = request.headers.get("content-encoding", "").strip().lower()

    def work() -> bytes:
        return _store_report(server, bearer, origin, inflate(body, encoding), asked, read)

    async with server.room(body):
        return _json(await asyncio.to_thread(work))


def _store_report(
    server: Server, bearer: Bearer, origin: Origin, body: bytes, asked: dict[str, str], read: Any
) -> bytes:
    now = now_ms()
    site = _site(bearer, asked.get("site"))
    findings, told = read(body, asked)
    if not findings:
        raise Problem(422, "empty", "The file tells of no test.")
    started = instant(asked.get("started")) or told
    digest = hashlib.sha256(body).hexdigest()
    run_id = asked.get("run") or name_of(f"{origin.value}:{asked['system']}:{digest[:32]}")
    source = Source(site, asked["system"], run_id, origin, origin.value)

    def store(connection: Connection) -> tuple[bool, list[Any]]:
        began = started or _began(connection, run_id) or iso(now)
        opening = read_manifest(encode(manifest_of(source, began, findings)), now)
        stored = store_manifest(connection, opening, now, origin.value)
        refused = store_records(connection, _arrivals(source, findings, now), now)
        close = read_closing(encode(closing_of([found.outcome for found in findings], began)), now)
        store_closing(connection, run_id, close, site, now)
        return stored, refused

    stored, refused = server.write(store)
    rejected = [{"record_id": name, "problem": problem.document()} for _, name, problem in refused]
    counts = {found.outcome.value: 0 for found in findings}
    for found in findings:
        counts[found.outcome.value] += 1
    answer = {"run_id": run_id, "stored": stored, "records": len(findings), "counts": counts, "rejected": rejected}
    return msgspec.json.encode(answer)


def _arrivals(source: Source, findings: Sequence[Finding], now: int) -> list[Arrival]:
    whole = b'{"records":[' + b",".join(encode(record_of(source, found)) for found in findings) + b"]}"
    arrivals = []
    for item in read_batch(whole, now):
        if not isinstance(item, Arrival):
            raise item[2]
        arrivals.append(item)
    return arrivals


def _began(connection: Connection, run_id: str) -> str | None:
    """Return when a run began as it was stored: a file that does not say has the time of its first arrival."""
    from sqlalchemy import select

    from collector.store.tables import runs

    known = connection.execute(select(runs.c.started).where(runs.c.run_id == run_id)).scalar()
    return None if known is None else iso(known)


def _whose(server: Server, parcel: Parcel, now: int) -> tuple[str, str]:
    """Find the site and system of an old client: by a token in place of its key, or by what an administrator said."""
    if parcel.key.startswith("exw_") or parcel.key == server.process_token:
        bearer = server.known(parcel.key)
        if "upload" not in bearer.grants:
            raise Problem(403, "scope", "The token does not permit upload.", "key")
        return _site(bearer, None), parcel.system
    with server.store.writing() as connection:
        return check_sender(connection, server.key, parcel.sender, parcel.key, now)


def _site(bearer: Bearer, asked: str | None) -> str:
    if bearer.site == ANY_SITE:
        if asked is None:
            raise Problem(422, "invalid", "site: the token is for any site, so say which: ?site=NAME.", "site")
        return asked
    if asked is not None and not bearer.allows(asked):
        raise Problem(403, "wrong-site", f"The token is for site {bearer.site}.", "site")
    return bearer.site


def _kind(request: Ask, kinds: Sequence[str]) -> None:
    kind = request.headers.get("content-type", kinds[0]).partition(";")[0].strip().lower()
    if kind not in kinds:
        raise Problem(415, "content-type", f"Content-Type {kind[:60]!r} is not taken; send {kinds[0]}.")


def _json(body: bytes) -> Response[bytes]:
    return Response(content=body, media_type=JSON, status_code=200)
