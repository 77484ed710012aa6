"""Remove old runs from the work directory if a collector has them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable

from ci.deliver import delivered
from exaworks_sdk.paths import Places
from site_configs.schema import System

DAY = 86_400


def cleanup(system: System, places: Places, days: int, echo: Callable[[str], None]) -> int:
    """Remove the system's delivered runs that are older than ``days`` days; return how many were removed.

    Runs that no collector has are kept.
    """
    removed = 0
    for path in sorted(places.runs.glob("*/manifest.json")):
        try:
            manifest = json.loads(path.read_bytes())
            same_system = f"{manifest['site']}/{manifest['system']}" == system.system
            sequence = manifest["closed"]["sequence"]
            old = time.time() - path.stat().st_mtime > days * DAY
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if same_system and old and delivered(places, path.parent.name, sequence):
            shutil.rmtree(path.parent)
            removed += 1
    echo(f"removed {removed} delivered runs older than {days} days from {places.runs}")
    return removed
