"""Probes of the machine: one small module for each scheduler, the module system and the node.

Probes only read, and each command has a time limit. ``SCHEDULERS`` has a function for each kind of scheduler that can
be queried: it returns the scheduler with its queues, or one line with the reason why there is none. The same functions
serve the draft of a site file and its comparison with the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from site_configs.probes import flux, lsf, pbs, slurm
from site_configs.probes.observed import ObservedQueue as ObservedQueue
from site_configs.probes.observed import ObservedScheduler as ObservedScheduler

SCHEDULERS: dict[str, Callable[[Mapping[str, str]], ObservedScheduler | str]] = {
    "slurm": slurm.probe,
    "flux": flux.probe,
    "pbs": pbs.probe,
    "lsf": lsf.probe,
}
