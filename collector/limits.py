"""Limits on the size and depth of a request, applied before and while it is parsed."""

from __future__ import annotations

import re
import zlib
from typing import Any

from collector.errors import Problem

MAX_BODY = 32 * 1024 * 1024
MAX_INFLATED = 128 * 1024 * 1024
MAX_RECORDS = 5000
MAX_RECORD_BYTES = 1024 * 1024
MAX_PLANNED = 100_000
MAX_DEPTH = 32

MAX_SECONDS = 1e9
"""The longest duration of a phase, some 30 years. It also bounds the sums of durations."""

MAX_VALUE = 1e30
"""The largest value of a metric, so that sums and differences of metrics stay finite."""

MAX_OLD_CLIENT_BODY = 4 * 1024 * 1024
MAX_OLD_CLIENT_INFLATED = 8 * 1024 * 1024
"""Limits of a message of an old client. Its key is inside the body, which is therefore read before the key is known."""

MAX_GZIP_MEMBERS = 1024

_SLICE = 16 * 1024

Body = bytes | bytearray
"""The body of a request. A ``bytearray`` can be filled in place, so that memory holds the body only once."""


def inflate(body: Body, encoding: str, longest: int = MAX_INFLATED) -> Body:
    """Decode the content encoding into one buffer, and stop as soon as the result is larger than ``longest`` bytes.

    The input is read in small slices: zlib copies the unread rest of a slice for each gzip member and for each part of
    the output, so that the time would otherwise grow with the square of the body.

    Raises:
        Problem: 413 if the result is larger than ``longest`` or has more than ``MAX_GZIP_MEMBERS`` members, 400 if the
            data is damaged, 415 if the encoding is not gzip.
    """
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        detail = f"Content-Encoding {encoding[:40]!r} is not supported. Use gzip, or no encoding."
        raise Problem(415, "content-encoding", detail)
    inflated = bytearray()
    member: Any = None
    members = 0
    try:
        for start in range(0, len(body), _SLICE):
            rest = bytes(body[start : start + _SLICE])
            while rest:
                if member is None:
                    if members and not (rest := rest.lstrip(b"\0")):  # zero bytes may follow a member
                        break
                    if members == MAX_GZIP_MEMBERS:
                        detail = f"The gzip data has more than {MAX_GZIP_MEMBERS} members. Compress the body as one."
                        raise Problem(413, "too-many-members", detail)
                    member, members = zlib.decompressobj(wbits=31), members + 1
                inflated += member.decompress(rest, longest + 1 - len(inflated))
                if len(inflated) > longest:
                    detail = f"The decompressed body is larger than {longest} bytes. Send smaller batches."
                    raise Problem(413, "too-large", detail)
                rest, member = (member.unused_data, None) if member.eof else (member.unconsumed_tail, member)
    except zlib.error as error:
        raise Problem(400, "gzip-damaged", f"The body is not valid gzip data: {error}.") from error
    if member is not None:
        raise Problem(400, "gzip-damaged", "The gzip data is truncated. Send it again.")
    return inflated


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
