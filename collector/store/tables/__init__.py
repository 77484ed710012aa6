"""The tables of the database. Instants are milliseconds since 1970 UTC. An unknown value is null.

``facts`` holds what was sent: rows are only ever added. ``rollups`` holds values derived from the facts. ``access``,
``waivers`` and ``notifications`` hold what administrators set and what the server keeps for itself.
"""

from __future__ import annotations

from collector.store.tables.access import hidden_sites, senders, tokens
from collector.store.tables.base import HEAD, LOOKUP_BITS, RECORD_BITS, ROLLED_UP, Key, metadata
from collector.store.tables.facts import bodies, cells, closings, events, lookup, plans, points, records, runs, systems
from collector.store.tables.notifications import deliveries, hooks, reported_states
from collector.store.tables.rollups import board, days, series
from collector.store.tables.waivers import waivers

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
    "reported_states",
    "runs",
    "senders",
    "series",
    "systems",
    "tokens",
    "waivers",
]
