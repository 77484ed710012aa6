"""Looking at the machine: one small module a scheduler, the module system and the node; read-only and bounded in time.

``SCHEDULERS`` has a function for each kind that can be asked: it returns what it saw, or in one line why it saw
nothing. Each is also used to compare a site file with the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from site_configs.probes import flux, lsf, pbs, slurm
from site_configs.probes.seen import SeenQueue as SeenQueue
from site_configs.probes.seen import SeenScheduler as SeenScheduler

SCHEDULERS: dict[str, Callable[[Mapping[str, str]], SeenScheduler | str]] = {
    "slurm": slurm.look,
    "flux": flux.look,
    "pbs": pbs.look,
    "lsf": lsf.look,
}
