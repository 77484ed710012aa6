"""Instants as the record writes them."""

from __future__ import annotations

import time
from datetime import datetime, timezone


def utc(epoch: float | None) -> str | None:
    """Turn seconds since the epoch into ISO 8601 UTC with milliseconds and a trailing Z; None stays None."""
    if epoch is None:
        return None
    return datetime.fromtimestamp(epoch, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """The present instant in that form."""
    stamp = utc(time.time())
    assert stamp is not None
    return stamp
