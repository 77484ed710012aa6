"""The summary of a run in one row, as the lists of runs show it."""

from __future__ import annotations

import json
from typing import Any

from collector import formatting
from collector.outcomes import PASS
from collector.rendering import markup
from collector.store.rollups import is_open, state_of
from collector.store.staleness import is_stale


def run_line(row: Any, now: int) -> dict[str, Any]:
    """Return the facts of a run that its row shows."""
    open_ = is_open(row)
    schedulers = json.loads(row.schedulers or "{}")
    return {
        "run_id": row.run_id,
        "site": row.site,
        "system": row.system,
        "outcome": markup.overall_outcome(row.outcomes, open_),
        "counts": markup.counts_of(row.outcomes, open_),
        "total": len(row.outcomes),
        "passed": row.outcomes.count(PASS),
        "started": formatting.at(row.started),
        "ended": formatting.at_or_none(row.ended),
        "seconds": None if row.ended is None or row.ended < row.started else (row.ended - row.started) / 1000,
        "trigger": row.trigger,
        "tier": row.tier,
        "release": row.release,
        "stack": row.stack,
        "schedulers": schedulers,
        "emulated": any(version.endswith("(emulated)") for version in schedulers.values()),
        "stale": is_stale(row.started, row.stale_after, now),
        "partial": bool(row.partial and row.digest is not None),
        "state": state_of(row),
        "exit_code": row.exit_code,
    }
