"""Instants in milliseconds since 1970 UTC, their ISO 8601 form, and durations as people write them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)
_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PLAIN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])(?:ec|in|our|ay|eek)?(?:ond|ute)?s?")
_LONGEST = 2**31 - 1
_CLOCK = re.compile(r"(\d{1,6}):([0-5]\d):([0-5]\d)")
_ISO = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


TOLERANCE_MS = 5 * 60_000
"""How far a client's clock may be off before the server's counts; it includes the time that a request needs."""


def is_off(skew: int | None) -> bool:
    """Return whether a clock differs from that of the server by more than the tolerance; ``skew`` in milliseconds."""
    return skew is not None and abs(skew) > TOLERANCE_MS


def now_ms() -> int:
    """Return the current time in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def instant_ms(iso: str) -> int:
    """Parse an instant as the schema writes it: ISO 8601, UTC, with a trailing Z.

    Raises:
        ValueError: the text has another form.
    """
    if not iso.endswith("Z"):
        raise ValueError(f"{iso[:40]!r} is not an instant in UTC such as 2026-01-31T12:00:00Z")
    try:
        return (msgspec.convert(iso, datetime) - _EPOCH) // _MILLISECOND
    except msgspec.ValidationError as error:
        raise ValueError(f"{iso[:40]!r} is not an instant such as 2026-01-31T12:00:00Z") from error


def iso(ms: int, timespec: str = "seconds") -> str:
    """Format an instant as the schema writes it."""
    return (_EPOCH + ms * _MILLISECOND).isoformat(timespec=timespec).replace("+00:00", "Z")


def duration_seconds(text: str | None) -> int | None:
    """Parse a duration such as ``168:00:00`` (as site files write it), ``36h``, ``2 days`` or ``P2D``.

    Return seconds, or None if there is no text or it is not a duration.
    """
    if not text:
        return None
    clock = _CLOCK.fullmatch(text.strip())
    if clock:
        hours, minutes, seconds = map(int, clock.groups())
        return min(hours * 3600 + minutes * 60 + seconds, _LONGEST)
    plain = _PLAIN.fullmatch(text.strip().lower())
    if plain:
        return int(min(float(plain[1]) * _UNIT[plain[2]], _LONGEST))
    parts = _ISO.fullmatch(text.strip().upper())
    if parts is None or not any(parts.groups()):
        return None
    weeks, days, *clock_parts = (float(part or 0) for part in parts.groups())
    total = (weeks * 7 + days) * 86400 + sum(part * size for part, size in zip(clock_parts, (3600, 60, 1), strict=True))
    return int(min(total, _LONGEST))
