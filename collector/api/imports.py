"""Results of other tools: the old ``POST /result``, JUnit XML, and the JSON of the E4S testsuite."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from litestar import Response, post
from sqlalchemy import Connection

from collector import limits
from collector.api.ingest import skew_of
from collector.auth.tokens import ANY_SITE, Bearer, check_sender, note_sender_use
from collector.clock import duration_seconds, now_ms
from collector.errors import Problem
from collector.importers.common import (
    ImportedTest,
    Source,
    instant,
    make_closing,
    make_manifest,
    make_record,
    read_zone,
    valid_name,
)
from collector.importers.e4s import read_e4s
from collector.importers.junit import read_junit
from collector.importers.legacy import LegacyMessage, read_legacy_message
from collector.limits import inflate
from collector.store.decoding import DecodedRecord, is_name, read_batch, read_closing, read_manifest
from collector.store.legacy import store_legacy_message
from collector.store.log import Entry, add_entry
from collector.store.records import store_records
from collector.store.runs import store_closing, store_manifest
from collector.store.staleness import stale_after_of_system, stored_run
from collector.web.context import HttpRequest, Server, address_of, entry_of, server_of
from dashboard_client.schema import Origin, encode

JSON = "application/json"
XML = ("application/xml", "text/xml")


@post("/result")
async def add_result(request: HttpRequest) -> Response[bytes]:
    """Store one message of an old client; the key in the message selects the site and the system."""
    server = server_of(request)
    address = address_of(request)
    _check_content_type(request, (JSON,))
    encoding = request.headers.get("content-encoding", "").strip().lower()

    def work(body: bytearray) -> bytes:
        now = now_ms()
        inflated = bytes(inflate(body, encoding, limits.MAX_OLD_CLIENT_INFLATED))
        if limits.too_deep(inflated):
            raise Problem(422, "too-deep", f"The message is nested more than {limits.MAX_DEPTH} levels deep.")
        message = read_legacy_message(inflated)
        try:
            site, system, writer = _site_and_system(server, message, now)
        except Problem as problem:
            if problem.status == 401:
                server.guesses.count(address, message.key)
            raise
        server.rates.take(f"sender:{message.sender}")

        def store(connection: Connection) -> dict[str, object]:
            result = store_legacy_message(connection, message, site, system, now, writer)
            if result["stored"]:
                run_id = str(result["run_id"])
                add_entry(connection, now, Entry("result.add", writer, address, site, system, run_id, status=200))
            return result

        return msgspec.json.encode({"success": True} | server.write(store))

    longest = limits.MAX_OLD_CLIENT_BODY
    async with server.bodies.receive_unauthenticated(request, longest, address) as body, server.decoding_slot(body):
        return _json(await asyncio.to_thread(work, body))


@dataclass(frozen=True)
class _Contents:
    """What a file contains. ``started``: its start, if the file states one. ``dialect``: which program wrote it."""

    tests: list[ImportedTest]
    started: str | None
    dialect: str


@post("/api/v1/import/junit")
async def import_junit(request: HttpRequest) -> Response[bytes]:
    """Store a JUnit XML file as one run."""

    def read(body: bytes, query: Mapping[str, str]) -> _Contents:
        zone = read_zone(query["timezone"]) if "timezone" in query else None
        report = read_junit(body, query.get("component"), query.get("scheduler", "local"), zone)
        return _Contents(report.findings, report.started, report.dialect)

    return await _import(request, Origin.JUNIT, (*XML, JSON), read)


@post("/api/v1/import/e4s")
async def import_e4s(request: HttpRequest) -> Response[bytes]:
    """Store a result file of the E4S testsuite as one run."""

    def read(body: bytes, query: Mapping[str, str]) -> _Contents:
        tests = read_e4s(body, query.get("scheduler", "local"), query.get("component"))
        return _Contents(tests, None, "E4S testsuite")

    return await _import(request, Origin.E4S, (JSON,), read)


HANDLERS = [add_result, import_junit, import_e4s]


Reader = Callable[[bytes, Mapping[str, str]], _Contents]


async def _import(request: HttpRequest, origin: Origin, content_types: Sequence[str], read: Reader) -> Response[bytes]:
    server = server_of(request)
    bearer = await server.bearer(request, "upload")
    _check_content_type(request, content_types)
    query = {name: str(value) for name, value in request.query_params.items()}
    for name in ("site", "system", "run", "component", "scheduler"):
        if name in query and not is_name(query[name]):
            raise Problem(422, "invalid", f"{name}: must be 1 to 128 letters, digits and . _ : + @ -.", name)
    _check_times(query)
    if "system" not in query:
        raise Problem(422, "invalid", "system: missing. Add ?system=NAME, the system of the results.", "system")
    encoding = request.headers.get("content-encoding", "").strip().lower()
    skew = skew_of(request)

    def work(body: bytearray) -> bytes:
        report = bytes(inflate(body, encoding))
        return _store_report(server, request, bearer, origin, report, query, read, skew)

    async with server.bodies.receive(request, limits.MAX_BODY) as body, server.decoding_slot(body):
        return _json(await asyncio.to_thread(work, body))


def _check_times(query: Mapping[str, str]) -> None:
    for name in ("started", "modified"):
        if name in query and instant(query[name]) is None:
            detail = f"{name}: {query[name][:60]!r} is not an instant such as 2026-01-31T12:00:00Z."
            raise Problem(422, "invalid", detail, name)
    if "stale_after" in query and not duration_seconds(query["stale_after"]):
        detail = f"stale_after: {query['stale_after'][:60]!r} is not a duration such as 72:00:00, 36h or 3d."
        raise Problem(422, "invalid", detail, "stale_after")


def _store_report(
    server: Server,
    request: HttpRequest,
    bearer: Bearer,
    origin: Origin,
    body: bytes,
    query: Mapping[str, str],
    read: Reader,
    skew: int | None,
) -> bytes:
    now = now_ms()
    site = _site(bearer, query.get("site"))
    contents = read(body, query)
    tests = contents.tests
    if not tests:
        raise Problem(422, "empty", "The file contains no test.")
    digest = hashlib.sha256(body).hexdigest()
    run_id = query.get("run") or valid_name(f"{origin.value}:{query['system']}:{digest[:32]}")
    source = Source(site, query["system"], run_id, origin, origin.value)
    outcomes = list({test.case_id: test.outcome for test in tests}.values())

    def store(connection: Connection) -> dict[str, object]:
        started = _start(connection, source, contents, query)
        stale_after = _clock_text(_stale_after(connection, source, query))
        document = make_manifest(source, started, tests, stale_after=stale_after)
        writer = bearer.writer
        decoded = read_manifest(encode(document), now, skew)
        stored = store_manifest(connection, decoded, now, origin.value, writer=writer)
        refused = store_records(connection, _decoded_records(source, tests, now, skew), now, writer)
        closing = read_closing(encode(make_closing(outcomes, started)), now, skew)
        store_closing(connection, run_id, closing, site, now, source.system, writer)
        place = {"site": site, "system": source.system, "subject": run_id}
        count = len(tests) - len(refused)
        add_entry(
            connection, now, entry_of(request, f"import.{origin.value}", bearer, status=200, count=count, **place)
        )
        rejected = [{"record_id": name, "problem": problem.document()} for _, name, problem in refused]
        return {"stored": stored, "started": started, "stale_after": stale_after, "rejected": rejected}

    counts = {outcome.value: outcomes.count(outcome) for outcome in dict.fromkeys(outcomes)}
    answer = {"run_id": run_id, "dialect": contents.dialect, "records": len(tests), "counts": counts}
    return msgspec.json.encode(answer | server.write(store))


def _start(connection: Connection, source: Source, contents: _Contents, query: Mapping[str, str]) -> str:
    """Return the start of the run, from which its age counts.

    It is the stated one, else that of the file, else that of its first import, else the file's modification time.
    """
    started = instant(query.get("started")) or contents.started
    if started is not None:
        return started
    stored = stored_run(connection, source)
    if stored is not None:
        return stored.started
    modified = instant(query.get("modified"))
    if modified is None:
        detail = "The file states no time. Add &modified=TIME, its modification time, such as 2026-01-31T12:00:00Z."
        raise Problem(422, "no-time", detail, "modified")
    return modified


def _stale_after(connection: Connection, source: Source, query: Mapping[str, str]) -> int:
    """Return the age in seconds from which the run is stale.

    It is the stated one, else that of its first import, else that of the system.
    """
    stated = duration_seconds(query.get("stale_after"))
    if stated is not None:
        return stated
    stored = stored_run(connection, source)
    return (stored.stale_after if stored is not None else None) or stale_after_of_system(connection, source)


def _clock_text(seconds: int) -> str:
    """Return a duration as site files write it."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _decoded_records(source: Source, tests: Sequence[ImportedTest], now: int, skew: int | None) -> list[DecodedRecord]:
    batch = b'{"records":[' + b",".join(encode(make_record(source, test)) for test in tests) + b"]}"
    records = []
    for item in read_batch(batch, now, skew):
        if not isinstance(item, DecodedRecord):
            raise item[2]
        records.append(item)
    return records


def _site_and_system(server: Server, message: LegacyMessage, now: int) -> tuple[str, str, str]:
    """Return the site and the system of an old client, and its name in the audit log.

    If its key is a token, the token gives the site. Otherwise an administrator registered the sender with both.
    """
    if message.key.startswith("exw_") or message.key == server.process_token:
        bearer = server.identify(message.key)
        if "upload" not in bearer.grants:
            raise Problem(403, "scope", "The token does not permit upload. Use a token with scope upload.", "key")
        return _site(bearer, None), message.system, bearer.writer
    with server.store.reading() as connection:
        site, system, due = check_sender(connection, server.key, message.sender, message.key, now)
    if due:
        with server.store.writing() as connection:
            note_sender_use(connection, message.sender, now)
    return site, system, f"sender:{message.sender}"


def _site(bearer: Bearer, requested: str | None) -> str:
    if bearer.site == ANY_SITE:
        if requested is None:
            detail = "site: missing. The token is for any site: use a token of one site, or add ?site=NAME."
            raise Problem(422, "invalid", detail, "site")
        return requested
    if requested is not None and not bearer.allows(requested):
        raise Problem(403, "wrong-site", f"The token is for site {bearer.site}, not for {requested}.", "site")
    return bearer.site


def _check_content_type(request: HttpRequest, content_types: Sequence[str]) -> None:
    content_type = request.headers.get("content-type", content_types[0]).partition(";")[0].strip().lower()
    if content_type not in content_types:
        accepted = " or ".join(content_types)
        detail = f"Content-Type {content_type[:60]!r} is not supported. Send {accepted}."
        raise Problem(415, "content-type", detail)


def _json(body: bytes) -> Response[bytes]:
    return Response(content=body, media_type=JSON, status_code=200)
