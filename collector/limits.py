"""Limits on the size and depth of a request, applied before and while it is parsed."""

from __future__ import annotations

import re
import zlib
from typing import TypeVar

from collector.errors import Problem

MAX_BODY = 32 * 1024 * 1024
MAX_INFLATED = 128 * 1024 * 1024
MAX_RECORDS = 5000
MAX_RECORD_BYTES = 1024 * 1024
MAX_PLANNED = 100_000
MAX_DEPTH = 32
MAX_FUTURE_MS = 24 * 3600 * 1000

_CHUNK = 1024 * 1024

Body = bytes | bytearray
"""The body of a request. A ``bytearray`` can be filled in place, so that memory holds the body only once."""

Sent = TypeVar("Sent", bytes, bytearray)


def inflate(body: Sent, encoding: str) -> Sent | bytes:
    """Decode the content encoding, and stop as soon as the result is larger than its limit.

    Raises:
        Problem: 413 if the result is larger than ``MAX_INFLATED``, 400 if the data is damaged, 415 if the encoding is
            not gzip.
    """
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        detail = f"Content-Encoding {encoding[:40]!r} is not supported. Use gzip, or no encoding."
        raise Problem(415, "content-encoding", detail)
    parts: list[bytes] = []
    total, rest = 0, bytes(body)
    try:
        while rest:
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                part = member.decompress(rest, _CHUNK)
                rest = member.unconsumed_tail
                total += len(part)
                if total > MAX_INFLATED:
                    detail = f"The decompressed body is larger than {MAX_INFLATED} bytes. Send smaller batches."
                    raise Problem(413, "too-large", detail)
                if not part and not rest and not member.eof:
                    raise Problem(400, "gzip-damaged", "The gzip data is truncated. Send it again.")
                parts.append(part)
            rest = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise Problem(400, "gzip-damaged", f"The body is not valid gzip data: {error}.") from error
    return b"".join(parts)


_STRINGS = re.compile(rb'"[^"]*"')
_PAIRS = re.compile(rb"\{\}|\[\]")
_REST = bytes(set(range(256)) - set(b'[]{}"\\'))


def too_deep(body: Body | memoryview, limit: int = MAX_DEPTH) -> bool:
    """Return whether JSON is nested more than ``limit`` deep, without decoding it.

    The result for text that is not JSON may be either. Text with at most ``limit`` opening brackets cannot be too
    deep. Otherwise everything but brackets is removed, and then one level of empty pairs per pass.
    """
    text = bytes(body)
    if text.count(b"{") + text.count(b"[") <= limit:
        return False
    bare = text.translate(None, _REST).replace(b"\\\\", b"").replace(b'\\"', b"")
    bare = bare.replace(b'""', b"")  # removes most strings; two strings that this joins had nothing between them
    bare = _STRINGS.sub(b"", bare).replace(b"\\", b"") if b'"' in bare or b"\\" in bare else bare
    for _ in range(limit):
        before, bare = len(bare), _PAIRS.sub(b"", bare)
        if not bare or len(bare) == before:
            return False
    return True
