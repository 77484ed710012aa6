"""The installed kinds of scheduler, and those of them that answer on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

from sdk_tests.schedulers.base import SchedulerKind
from site_configs.schema import SchedulerSpec


def kinds() -> dict[str, type[SchedulerKind]]:
    """Return every kind of scheduler that an installed package provides, by name."""
    return {point.name: point.load() for point in entry_points(group="exaworks.schedulers")}


def answering_schedulers(environ: Mapping[str, str]) -> list[str]:
    """Return the names of this machine's own batch schedulers that answer within a few seconds each.

    The scheduler of a testbed does not count, whoever started it. The record of a testbed is beside or above the file
    that the environment names.
    """
    env = {name: value for name, value in environ.items() if not (name in _LOCATIONS and _is_testbed(value))}
    names = []
    for name, kind_class in sorted(kinds().items()):
        kind = kind_class(SchedulerSpec(kind=name), env)
        if kind.batch and kind.configured() and kind.probe().available:
            names.append(name)
    return names


_LOCATIONS = ("SLURM_CONF", "PBS_CONF_FILE", "FLUX_URI", "EMULATED_SCHEDULER")
"""The variables that name a scheduler's configuration file, socket or folder."""


def _is_testbed(value: str) -> bool:
    path = Path(value.rpartition("://")[2])
    return any((folder / "testbed.json").exists() for folder in list(path.parents)[:3])
