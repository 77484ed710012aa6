"""Limits on what may be sent, applied before and while it is parsed."""

from __future__ import annotations

import zlib
from typing import Any

from collector.errors import Problem

MAX_BODY = 32 * 1024 * 1024
MAX_INFLATED = 128 * 1024 * 1024
MAX_RECORDS = 5000
MAX_RECORD_BYTES = 1024 * 1024
MAX_PLANNED = 100_000
MAX_DEPTH = 32
MAX_FUTURE_MS = 24 * 3600 * 1000

_CHUNK = 1024 * 1024


def inflate(body: bytes, encoding: str) -> bytes:
    """Undo the content encoding, stopping as soon as the result is over its limit.

    Raises:
        Problem: 413 for a bomb, 400 for damaged data, 415 for an encoding other than gzip.
    """
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Problem(415, "content-encoding", f"Content-Encoding {encoding[:40]!r} is not taken; use gzip or none.")
    parts: list[bytes] = []
    total = 0
    try:
        while body:
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                part = member.decompress(body, _CHUNK)
                body = member.unconsumed_tail
                total += len(part)
                if total > MAX_INFLATED:
                    raise Problem(413, "too-large", f"The body is over {MAX_INFLATED} bytes once decompressed.")
                if not part and not body and not member.eof:
                    raise Problem(400, "gzip-damaged", "The gzip data ends in the middle.")
                parts.append(part)
            body = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise Problem(400, "gzip-damaged", f"The body is not gzip data: {error}.") from error
    return b"".join(parts)


def depth_of(value: Any, limit: int = MAX_DEPTH) -> int:
    """Return how many lists and objects are nested in one another, counting no further than ``limit`` + 1."""
    level = [value] if isinstance(value, (dict, list)) else []
    depth = 0
    while level and depth <= limit:
        depth += 1
        inner = (item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer))
        level = [item for item in inner if isinstance(item, (dict, list))]
    return depth
