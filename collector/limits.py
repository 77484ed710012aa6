"""Limits on what may be sent, applied before and while it is parsed."""

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
"""A body as it was sent; put together as it came, it is there once."""

Sent = TypeVar("Sent", bytes, bytearray)


def inflate(body: Sent, encoding: str) -> Sent | bytes:
    """Undo the content encoding, stopping as soon as the result is over its limit.

    Raises:
        Problem: 413 for a bomb, 400 for damaged data, 415 for an encoding other than gzip.
    """
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Problem(415, "content-encoding", f"Content-Encoding {encoding[:40]!r} is not taken; use gzip or none.")
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
                    raise Problem(413, "too-large", f"The body is over {MAX_INFLATED} bytes once decompressed.")
                if not part and not rest and not member.eof:
                    raise Problem(400, "gzip-damaged", "The gzip data ends in the middle.")
                parts.append(part)
            rest = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise Problem(400, "gzip-damaged", f"The body is not gzip data: {error}.") from error
    return b"".join(parts)


_STRINGS = re.compile(rb'"[^"]*"')
_PAIRS = re.compile(rb"\{\}|\[\]")
_REST = bytes(set(range(256)) - set(b'[]{}"\\'))


def too_deep(body: Body | memoryview, limit: int = MAX_DEPTH) -> bool:
    """Tell whether JSON is nested more than ``limit`` deep, without decoding it; what is no JSON may be told either.

    Few openings are proof enough. Otherwise everything but brackets and strings goes, and pairs are peeled off.
    """
    text = bytes(body)
    if text.count(b"{") + text.count(b"[") <= limit:
        return False
    bare = text.translate(None, _REST).replace(b"\\\\", b"").replace(b'\\"', b"")
    bare = bare.replace(b'""', b"")  # most strings; where it joins two, nothing was between them
    bare = _STRINGS.sub(b"", bare).replace(b"\\", b"") if b'"' in bare or b"\\" in bare else bare
    for _ in range(limit):
        before, bare = len(bare), _PAIRS.sub(b"", bare)
        if not bare or len(bare) == before:
            return False
    return True
