"""Remove what pipelines leave behind in the work directory once it is old and a collector has it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable

from ci.deliver import delivered
from exaworks_sdk.paths import Places
from site_configs.schema import System

DAY = 86_400


def cleanup(system: System, places: Places, days: int, say: Callable[[str], None]) -> int:
    """Remove the system's delivered runs that are older than so many days; return how many. What is owed stays."""
    removed = 0
    for path in sorted(places.runs.glob("*/manifest.json")):
        try:
            manifest = json.loads(path.read_bytes())
            ours = f"{manifest['site']}/{manifest['system']}" == system.system
            sequence = manifest["closed"]["sequence"]
            old = time.time() - path.stat().st_mtime > days * DAY
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if ours and old and delivered(places, path.parent.name, sequence):
            shutil.rmtree(path.parent)
            removed += 1
    say(f"removed {removed} delivered runs older than {days} days from {places.runs}")
    return removed
