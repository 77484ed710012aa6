"""Timestamps in the format of the record."""

from __future__ import annotations

import time
from datetime import datetime, timezone


def utc(epoch: float | None) -> str | None:
    """Convert seconds since the epoch into ISO 8601 UTC with milliseconds and a trailing Z; None stays None."""
    if epoch is None:
        return None
    return datetime.fromtimestamp(epoch, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """Return the current time in that format."""
    stamp = utc(time.time())
    assert stamp is not None
    return stamp
