"""The tables of the database. Instants are milliseconds since 1970 UTC. An unknown value is null.

``facts`` holds what was sent: rows are only ever added. ``rollups`` holds values derived from the facts. ``access``,
``waivers``, ``triage`` and ``notifications`` hold what people set and what the server keeps for itself, ``operations``
what it records about its own work.
"""

from __future__ import annotations

from collector.store.tables.access import hidden_sites, key_checks, senders, tokens
from collector.store.tables.base import HEAD, LOOKUP_BITS, RECORD_BITS, REFRESHED, ROLLED_UP, Key, metadata
from collector.store.tables.facts import (
    bodies,
    cells,
    closings,
    events,
    former_names,
    lookup,
    plans,
    points,
    records,
    runs,
    systems,
    writers,
)
from collector.store.tables.notifications import deliveries, hooks, reported_states
from collector.store.tables.operations import counters, log_entries, processes
from collector.store.tables.rollups import attention, board, days, incidents, series
from collector.store.tables.triage import triage_entries
from collector.store.tables.waivers import waivers

__all__ = [
    "HEAD",
    "LOOKUP_BITS",
    "RECORD_BITS",
    "REFRESHED",
    "ROLLED_UP",
    "Key",
    "attention",
    "board",
    "bodies",
    "cells",
    "closings",
    "counters",
    "days",
    "deliveries",
    "events",
    "former_names",
    "hidden_sites",
    "hooks",
    "incidents",
    "key_checks",
    "log_entries",
    "lookup",
    "metadata",
    "plans",
    "points",
    "processes",
    "records",
    "reported_states",
    "runs",
    "senders",
    "series",
    "systems",
    "tokens",
    "triage_entries",
    "waivers",
    "writers",
]
