"""Ten thousand systems of a hundred sites, written straight into the tables: storing them as runs takes minutes.

One in twenty systems fails in one component, one in a hundred is silent.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert

from collector.store.attention import note_failing
from collector.store.bulk import insert_many
from collector.store.tables import attention, board, cells, runs, systems

SYSTEMS = 10_000
SUBJECTS = ("control", "psij", "parsl", "flux", "swift-t", "radical.pilot", "radical.entk", "parsl+psij", "parsl+flux")
HOUR = 3_600_000


def fill_crowd(connection: Connection, now: int) -> None:
    """Fill empty tables; the newest run started twelve hours before ``now``."""
    start = lambda key: now - 12 * HOUR - 1000 * key  # noqa: E731
    keys = range(1, SYSTEMS + 1)
    connection.execute(
        insert(systems),
        [
            {
                "id": key,
                "site": f"facility-{key % 100:03}",
                "system": f"machine-{key:05}",
                "owner": f"group {key % 7}",
                "tiles": len(SUBJECTS),
                "full_smoke": start(key),
                "silent_from": now - HOUR if key % 100 == 0 else now + HOUR,
            }
            for key in keys
        ],
    )
    run = {"received": now, "partial": False, "stale_after": 86_400, "release": "2026.11"}
    run |= {"records": 1, "state": "complete"}
    connection.execute(
        insert(runs),
        [
            run
            | {"id": key, "run_id": f"n-{key}", "system": key, "started": start(key)}
            | {"extra": f"[{9 * key + 1}]", "outcomes": "f" if key % 20 == 0 else "p"}
            for key in keys
        ],
    )
    tiles, failing, all_cells = [], [], []
    for key in keys:
        started = start(key)
        for place, subject in enumerate(SUBJECTS):
            bad = key % 20 == 0 and place == key // 20 % len(SUBJECTS)
            outcomes, cell = ("fppp" if bad else "pppp"), 9 * key + place
            known = (key, subject, subject.split("+")[0], outcomes[0], outcomes, started, key, "2026.10.26", 0, 0, None)
            shares = "AAAAAAAAAAAAA7" if bad else "A" * 14
            tiles.append((*known, shares, started, started if bad else None, False))
            if bad or subject == "psij":
                all_cells.append(
                    {"id": cell, "system": key, "case_id": f"{subject}/a@slurm", "component": subject}
                    | {"subject": subject, "scheduler": "slurm", "tier": "smoke", "last_run": key}
                    | {"last_started": started, "last_outcome": "f" if bad else "p"}
                )
            if bad:
                failing.append(
                    (cell, key, subject, subject, "slurm", "f", started, key, "2026.10.26", False, False, "site", "k")
                )
    insert_many(connection, board, tiles)
    connection.execute(insert(cells), all_cells)
    insert_many(connection, attention, failing)
    for _, key, *_ in failing:
        note_failing(connection, key)
