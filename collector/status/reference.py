"""The reference time of the headline: what changed since then is new."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from collector.formatting import at, ms

MORNING = 7
"""The hour (UTC) of the default: yesterday at seven, so that the last night is new for a reader in the morning."""

PRESETS = ("yesterday", "24h", "3d", "7d", "30d")

_LAST = re.compile(r"([0-9]{1,4})([hd])")
_WORDS = {"h": "hour", "d": "day"}


@dataclass(frozen=True)
class Reference:
    """The reference time as the address gives it, in milliseconds since 1970, and in words."""

    text: str
    ms: int
    words: str


def read_reference(text: str | None, now: int) -> Reference:
    """Read ``24h``, ``3d``, a day, or an instant in ISO 8601 (UTC); the default is yesterday at seven.

    A text of another form, or a time in the future, means the default.
    """
    last = _LAST.fullmatch(text or "")
    if last is not None:
        number, unit = int(last[1]), last[2]
        span = timedelta(hours=number) if unit == "h" else timedelta(days=number)
        return Reference(last[0], now - round(span.total_seconds() * 1000), f"{number} {_WORDS[unit]}s ago")
    try:
        when = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
        when = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
        if ms(when) < now:
            return Reference(text or "", ms(when), f"{when.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC")
    except (ValueError, OverflowError):
        pass
    morning = at(now).replace(hour=MORNING, minute=0, second=0, microsecond=0) - timedelta(days=1)
    return Reference("yesterday", ms(morning), f"yesterday {MORNING:02}:00 UTC")
