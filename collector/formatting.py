"""Text for the pages: ages, durations, instants, names, and the signs that accompany colours."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from urllib.parse import quote, urlencode

from collector import clock
from dashboard_client.schema import CONTROL

GLYPH = {"pass": "✓", "fail": "✕", "error": "!", "infra": "⚡", "skip": "⊘", "xfail": "~", "xpass": "?", "missing": "○"}
GLYPH |= {"pending": "…"}

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_UNITS = (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48), ("d", 86400, 10**9))


def at(ms: int) -> datetime:
    """Return the instant as a ``datetime``, which JSON encodes as the schema does."""
    return _EPOCH + timedelta(milliseconds=ms)


def at_or_none(ms: int | None) -> datetime | None:
    """Return the instant as a ``datetime``, or None if it is unknown."""
    return None if ms is None else at(ms)


def iso(when: datetime | int) -> str:
    """Format an instant in ISO 8601, to the second."""
    return clock.iso(when) if isinstance(when, int) else when.isoformat(timespec="seconds").replace("+00:00", "Z")


def day(when: datetime) -> str:
    """Format the day of an instant, such as ``21 Sep``."""
    return f"{when.day} {when:%b}"


def age(ms: int) -> str:
    """Format an age in milliseconds, in the largest unit that fits, such as ``3 h``."""
    passed = max(ms, 0) / 1000
    for unit, size, limit in _UNITS:
        if passed < size * limit:
            return f"{int(passed / size)} {unit}"
    return "long ago"


def ms(when: datetime) -> int:
    """Return the instant as milliseconds since 1970."""
    return (when - _EPOCH) // timedelta(milliseconds=1)


def clock_off(skew: int | None) -> str | None:
    """Format how far a clock is off, such as ``clock 20 h ahead``; None if it is not, or if that is not known."""
    if skew is None or not clock.is_off(skew):
        return None
    unit, size = next((unit, size) for unit, size, limit in _UNITS if round(abs(skew) / 1000 / size) < limit)
    return f"clock {round(abs(skew) / 1000 / size)} {unit} {'ahead' if skew > 0 else 'behind'}"


def ago(when: datetime, now: int) -> str:
    """Format how long before ``now`` (milliseconds since 1970) an instant was."""
    return age(now - ms(when))


def seconds(value: float | None) -> str:
    """Format a duration in seconds; an unknown one is a dash, never zero."""
    if value is None or not math.isfinite(value):
        return "—"
    if value < 10:
        return f"{value:.2f} s"
    if value < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


@lru_cache(maxsize=1024)
def anchor(name: str) -> str:
    """Return the HTML anchor of a named place on a page."""
    return "c-" + "".join(char if char.isalnum() else "-" for char in name)


def subject(name: str) -> str:
    """Format the name of a component, or of a pair, and of the deployment if it is not the first of a run."""
    return name.replace("+in ", " in ").replace("+", " + ")


def plain_link(*parts: str, **query: str) -> str:
    """Return a link from the root of the server."""
    path = "/" + "/".join(map(_quoted, parts))
    return f"{path}?{urlencode(query)}" if query else path


@lru_cache(maxsize=16_384)
def _quoted(part: str) -> str:
    return quote(part, safe="")


def control_first(name: str) -> tuple[bool, str]:
    """Return a sort key that puts the control case first, because every other result depends on it."""
    return name != CONTROL, name


def counted(number: int, one: str, many: str | None = None) -> str:
    """Format a number with its noun in the singular or the plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
