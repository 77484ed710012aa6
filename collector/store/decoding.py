"""Decode and check requests: the schema, the canonical form and its digest, and every check that needs no database.

Each record of a batch is decoded and refused on its own; the other records of the batch are not affected.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from collector import limits
from collector.errors import Problem
from collector.limits import Body
from collector.store.client_clock import ClientClock
from dashboard_client.schema import Closing, Diagnosis, Evidence, Manifest, Record, Stack, encode, record_id

T = TypeVar("T")

LONGEST_NAME = 128
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+@-]*")
_ERROR_TEXT = re.compile(r"(?P<message>.*?)(?: - at `(?P<path>.*)`)?", re.DOTALL)


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The envelope of records; each record is decoded on its own, so that a wrong one does not affect the others."""

    records: list[msgspec.Raw]


_batch = msgspec.json.Decoder(Batch)
_record = msgspec.json.Decoder(Record)
_manifest = msgspec.json.Decoder(Manifest)
_closing = msgspec.json.Decoder(Closing)
_NO_EVIDENCE = Evidence()

PHASES = ("setup", "queue_wait", "launch", "run", "collect", "teardown")


@dataclass(frozen=True)
class DecodedRecord:
    """A record that passed all checks.

    ``record``: the parts that the columns need. ``body``: the canonical bytes. ``started`` and ``ended``: milliseconds
    since 1970, by the clock of this server. ``first``: the earliest instant that the record contains. ``skew``: how far
    the clock of the sender is ahead, in milliseconds; None if it is not known.
    """

    index: int
    record: Record
    body: bytes
    digest: bytes
    started: int | None
    ended: int | None
    first: int | None
    skew: int | None = None


@dataclass(frozen=True)
class DecodedManifest:
    """A manifest that passed all checks.

    ``body``: the canonical bytes. ``started``: by the clock of this server. ``clock``: the clock of the sender.
    """

    manifest: Manifest
    body: bytes
    digest: bytes
    started: int
    clock: ClientClock


@dataclass(frozen=True)
class DecodedClosing:
    """A closing that passed all checks. ``body``: the canonical bytes. ``ended``: by the clock of this server."""

    closing: Closing
    body: bytes
    digest: bytes
    ended: int
    clock: ClientClock


def read_batch(
    body: Body, now: int, skew: int | None = None
) -> Iterator[DecodedRecord | tuple[int, str | None, Problem]]:
    """Yield each record decoded, or its index, its id if it could be read, and the problem.

    ``skew``: how far the clock of the sender is ahead, in milliseconds; None if it is not known.

    Raises:
        Problem: the envelope itself is wrong.
    """
    raws = _decode(_batch, body).records
    if len(raws) > limits.MAX_RECORDS:
        detail = f"The batch has {len(raws)} records; the limit is {limits.MAX_RECORDS}."
        raise Problem(413, "too-many-records", detail, "records")
    for index, raw in enumerate(raws):
        try:
            yield _decode_record(index, raw, ClientClock(now, skew))
        except Problem as problem:
            yield index, _record_id(raw), problem


def read_manifest(body: Body, now: int, skew: int | None = None) -> DecodedManifest:
    """Decode and check a manifest.

    Raises:
        Problem: the manifest is wrong; its field names the place.
    """
    _check_depth(body)
    manifest = _decode(_manifest, body)
    if manifest.closed is not None:
        raise _invalid("closed", "must be absent: a run is closed by POST /api/v1/runs/{run_id}/close")
    _check_name(manifest.site, "site")
    _check_name(manifest.system, "system")
    _check_name(manifest.run_id, "run_id")
    for name in ("trigger", "release"):
        if "\0" in (getattr(manifest, name) or ""):
            raise _invalid(name, "contains a NUL character. Remove it")
    if len(manifest.planned) > limits.MAX_PLANNED:
        raise _invalid("planned", f"has {len(manifest.planned)} cases; the limit is {limits.MAX_PLANNED}")
    case_ids: set[str] = set()
    for position, planned in enumerate(manifest.planned):
        where = f"planned[{position}]"
        _check_printable(planned.case_id, f"{where}.case_id", 512)
        _check_printable(planned.component, f"{where}.component", 128)
        for partner in planned.partners:
            _check_printable(partner, f"{where}.partners", 128)
        if planned.case_id in case_ids:
            raise _invalid(f"{where}.case_id", f"{planned.case_id!r} is planned twice")
        case_ids.add(planned.case_id)
    clock = ClientClock(now, skew)
    started = _instant(manifest.started, "started", clock)
    encoded = _encode(manifest)
    return DecodedManifest(manifest, encoded, hashlib.sha256(encoded).digest(), started, clock)


def read_closing(body: Body, now: int, skew: int | None = None) -> DecodedClosing:
    """Decode and check a closing.

    Raises:
        Problem: the closing is wrong; its field names the place.
    """
    _check_depth(body)
    closing = _decode(_closing, body)
    if closing.state not in ("complete", "interrupted"):
        raise _invalid("state", f"{closing.state[:40]!r} is neither complete nor interrupted")
    for name, low in (("sequence", 1), ("planned", 0), ("recorded", 0), ("missing", 0), ("exit_code", 0)):
        if not low <= getattr(closing, name) < 2**31:
            raise _invalid(name, f"{getattr(closing, name)} is not a number from {low} to 2147483647")
    clock = ClientClock(now, skew)
    ended = _instant(closing.ended, "ended", clock)
    encoded = _encode(closing)
    return DecodedClosing(closing, encoded, hashlib.sha256(encoded).digest(), ended, clock)


def is_name(value: str) -> bool:
    """Return whether a text is a valid name of a site, a system or a run."""
    return len(value) <= LONGEST_NAME and matches_name(value)


@lru_cache(maxsize=1024)
def matches_name(value: str) -> bool:
    """Return the same for a text that is short enough to be remembered; most records of a batch have the same names."""
    return _NAME.fullmatch(value) is not None


def _decode_record(index: int, raw: msgspec.Raw, clock: ClientClock) -> DecodedRecord:
    size = len(memoryview(raw))
    if size > limits.MAX_RECORD_BYTES:
        detail = f"The record has {size} bytes; the limit is {limits.MAX_RECORD_BYTES}."
        raise Problem(413, "too-large", detail, _largest_member(raw))
    if limits.too_deep(memoryview(raw)):
        detail = f"The record is nested more than {limits.MAX_DEPTH} levels deep."
        raise Problem(422, "too-deep", detail, _deepest_member(raw))
    record = _decode(_record, raw)
    context, attempt = record.context, record.retries.attempt
    _check_name(record.run_id, "run_id")
    _check_name(context.site, "context.site")
    _check_name(context.system, "context.system")
    _check_printable(record.case_id, "case_id", 512)
    _check_printable(record.case.component, "case.component", 128)
    for partner in record.case.partners:
        _check_printable(partner, "case.partners", 128)
    if not 1 <= attempt <= 1000:
        raise _invalid("retries.attempt", f"{attempt} is not a number from 1 to 1000")
    timing = record.timing
    for phase in PHASES:
        span = getattr(timing, phase)
        if span is not None and not -limits.MAX_SECONDS <= span.seconds <= limits.MAX_SECONDS:
            longest = f"{limits.MAX_SECONDS:.0f} seconds"
            raise _invalid(f"timing.{phase}.seconds", f"{span.seconds:g} is not a duration of at most {longest}")
    for position, metric in enumerate(record.metrics):
        if not -limits.MAX_VALUE <= metric.value <= limits.MAX_VALUE:
            where = f"metrics[{position}].value"
            raise _invalid(
                where, f"{metric.value:g} is not a number from -{limits.MAX_VALUE:g} to {limits.MAX_VALUE:g}"
            )
    submitted = _optional_instant(timing.submitted, "timing.submitted", clock)
    started = _optional_instant(timing.started, "timing.started", clock)
    ended = _optional_instant(timing.ended, "timing.ended", clock)
    expected = record_id(context.site, context.system, record.run_id, record.case_id, attempt)
    if record.record_id != expected:
        raise _invalid("record_id", f"must be {expected}, the digest of site, system, run_id, case_id and attempt")
    encoded = _encode(record)
    known = [instant for instant in (submitted, started, ended) if instant is not None]
    first = min(known) if known else None
    digest = hashlib.sha256(encoded).digest()
    return DecodedRecord(index, _without_body_parts(record), encoded, digest, started, ended, first, clock.skew)


def _without_body_parts(record: Record) -> Record:
    """Drop the parts that only the body contains; in a batch of thousands they are most of the memory."""
    own = [each for each in record.stack.components if each.name == record.case.component]
    diagnosis = record.diagnosis
    if diagnosis is not msgspec.UNSET:
        diagnosis = Diagnosis(title=diagnosis.title, cause_key=diagnosis.cause_key)
    kept: dict[str, Any] = {
        "stack": Stack(components=own),
        "evidence": _NO_EVIDENCE,
        "diagnosis": diagnosis,
        "extras": {},
    }
    return msgspec.structs.replace(record, **kept)


def _decode(decoder: msgspec.json.Decoder[T], data: Body | msgspec.Raw) -> T:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        match = _ERROR_TEXT.fullmatch(str(error))
        message, path = (match["message"], match["path"]) if match else (str(error), None)
        field = (path or "").removeprefix("key in ").replace("$.", "").replace("$", "") or None
        unknown = re.search(r"unknown field `(.*)`", message)
        if unknown:
            field = f"{field}.{unknown[1]}" if field else unknown[1]
        missing = re.search(r"missing required field `(.*)`", message)
        if missing:
            field = f"{field}.{missing[1]}" if field else missing[1]
        raise _invalid(field, message) from error
    except msgspec.DecodeError as error:
        raise Problem(400, "not-json", f"The body is not valid JSON: {error}.") from error
    except UnicodeDecodeError as error:
        raise Problem(400, "not-utf-8", f"The body is not valid UTF-8: {error}.") from error
    except RecursionError as error:
        raise Problem(400, "too-deep", f"The JSON is nested more than {limits.MAX_DEPTH} levels deep.") from error


def _encode(value: Manifest | Closing | Record) -> bytes:
    try:
        return encode(value)
    except (OverflowError, ValueError, UnicodeError, RecursionError) as error:
        raise _invalid(None, f"cannot be written in canonical form: {error}") from error


def _invalid(field: str | None, message: str) -> Problem:
    return Problem(422, "invalid", f"{field}: {message}." if field else f"{message}.", field)


def _check_name(value: str, field: str) -> None:
    if not is_name(value):
        raise _invalid(field, f"{value[:80]!r} is not 1 to 128 letters, digits and . _ : + @ -")


def _check_printable(value: str, field: str, longest: int) -> None:
    if not 0 < len(value) <= longest or not value.isprintable():
        raise _invalid(field, f"{value[:80]!r} is not 1 to {longest} printable characters")


def _instant(value: str, field: str, clock: ClientClock) -> int:
    try:
        return clock.instant(value)
    except ValueError as error:
        raise _invalid(field, str(error)) from error


def _optional_instant(value: str | None, field: str, clock: ClientClock) -> int | None:
    return None if value is None else _instant(value, field, clock)


def _record_id(raw: msgspec.Raw) -> str | None:
    """Return the id of a record that is refused, so that its sender knows which one it is."""

    class Identified(msgspec.Struct):
        record_id: str

    try:
        return msgspec.json.decode(raw, type=Identified).record_id[:64]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _check_depth(body: Body) -> None:
    if limits.too_deep(body):
        raise Problem(422, "too-deep", f"The JSON is nested more than {limits.MAX_DEPTH} levels deep.")


def _deepest_member(raw: msgspec.Raw) -> str | None:
    """Return the name of the first top-level member that is nested too deep."""
    members = _members(raw)
    return next((name for name, value in members.items() if limits.too_deep(value, limits.MAX_DEPTH - 1)), None)


def _largest_member(raw: msgspec.Raw) -> str | None:
    """Return the name of the largest top-level member of a record."""
    members = _members(raw)
    return max(members, key=lambda name: len(members[name])) if members else None


def _members(raw: msgspec.Raw) -> dict[str, memoryview]:
    try:
        members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return {name: memoryview(value) for name, value in members.items()}
