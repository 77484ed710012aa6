"""Which kinds of scheduler there are, and which of them answers on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

from sdk_tests.schedulers.base import SchedulerKind
from site_configs.schema import SchedulerSpec


def kinds() -> dict[str, type[SchedulerKind]]:
    """Return every kind of scheduler that an installed package offers."""
    return {point.name: point.load() for point in entry_points(group="exaworks.schedulers")}


def answers(environ: Mapping[str, str]) -> list[str]:
    """Return the batch schedulers that answer here as the machine's own, within a few seconds each.

    A testbed's is left out, whoever brought it up: its record lies beside or above the file the environment names.
    """
    own = {name: value for name, value in environ.items() if not (name in _PLACES and _of_a_testbed(value))}
    found = []
    for name, kind in sorted(kinds().items()):
        asked = kind(SchedulerSpec(kind=name), own)
        if kind.batch and asked.configured() and asked.probe().found:
            found.append(name)
    return found


_PLACES = ("SLURM_CONF", "PBS_CONF_FILE", "FLUX_URI", "EMULATED_SCHEDULER")


def _of_a_testbed(value: str) -> bool:
    path = Path(value.rpartition("://")[2])
    return any((folder / "testbed.json").exists() for folder in list(path.parents)[:3])
