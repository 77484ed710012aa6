"""Probe the node this runs on: its physical cores."""

from __future__ import annotations

import os
from collections.abc import Mapping

from site_configs.probes.command import run


def cores(env: Mapping[str, str]) -> int:
    """Return the number of physical cores as lscpu lists them, or without lscpu the number of CPUs."""
    listing, _ = run(["lscpu", "--parse=CORE,SOCKET"], env)
    pairs = {line for line in (listing or "").splitlines() if line and not line.startswith("#")}
    return len(pairs) or os.cpu_count() or 1
