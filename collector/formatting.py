"""How things are said on the pages: ages, durations, instants, names, and the signs that stand beside colours."""

from __future__ import annotations

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
    """Return the instant, which JSON writes as the schema does."""
    return _EPOCH + timedelta(milliseconds=ms)


def at_or_none(ms: int | None) -> datetime | None:
    """Return the instant; unknown stays unknown."""
    return None if ms is None else at(ms)


def iso(when: datetime | int) -> str:
    """Write an instant."""
    return clock.iso(when) if isinstance(when, int) else when.isoformat(timespec="seconds").replace("+00:00", "Z")


def day(when: datetime) -> str:
    """Write the day of an instant."""
    return f"{when.day} {when:%b}"


def age(ms: int) -> str:
    """Say how long ago, in the one unit that matters."""
    left = max(ms, 0) / 1000
    for unit, size, limit in _UNITS:
        if left < size * limit:
            return f"{int(left / size)} {unit}"
    return "long ago"


def ms(when: datetime) -> int:
    """Return the instant as milliseconds since 1970."""
    return (when - _EPOCH) // timedelta(milliseconds=1)


def ago(when: datetime, now: int) -> str:
    """Say how long before now an instant was."""
    return age(now - ms(when))


def seconds(value: float | None) -> str:
    """Write a duration; unknown is a dash, never zero."""
    if value is None:
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
    """Name a place on a page."""
    return "c-" + "".join(char if char.isalnum() else "-" for char in name)


def subject(name: str) -> str:
    """Write a component, or a pair of them."""
    return name.replace("+", " + ")


def plain_link(*parts: str, **query: str) -> str:
    """Write a link from the root."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    return f"{path}?{urlencode(query)}" if query else path


def control_first(name: str) -> tuple[bool, str]:
    """Sort subjects so that what everything else rests on comes first."""
    return name != CONTROL, name


def counted(number: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
