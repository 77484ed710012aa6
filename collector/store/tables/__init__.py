"""The tables. Instants are milliseconds since 1970 UTC; unknown is null.

``facts`` are only ever added, ``rollups`` follow from them, and ``desk`` is what people add.
"""

from __future__ import annotations

from collector.store.tables.administration import deliveries, hidden_sites, hooks, senders, tokens, told, waivers
from collector.store.tables.base import HEAD, LOOKUP_BITS, RECORD_BITS, ROLLED_UP, Key, metadata
from collector.store.tables.facts import bodies, cells, closings, events, lookup, plans, points, records, runs, systems
from collector.store.tables.rollups import board, days, series

__all__ = [
    "HEAD",
    "LOOKUP_BITS",
    "RECORD_BITS",
    "ROLLED_UP",
    "Key",
    "board",
    "bodies",
    "cells",
    "closings",
    "days",
    "deliveries",
    "events",
    "hidden_sites",
    "hooks",
    "lookup",
    "metadata",
    "plans",
    "points",
    "records",
    "runs",
    "senders",
    "series",
    "systems",
    "tokens",
    "told",
    "waivers",
]
