"""Collect facts about the machine this runs on, for the draft of a site file."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from site_configs.probes import SCHEDULERS, ObservedScheduler, modules, node

NAMING_VARIABLES = ("LMOD_SYSTEM_NAME", "LCSCHEDCLUSTER", "NERSC_HOST")
"""Variables in which facilities give the name of a machine. Unlike host names, they are the same on every node."""


@dataclass(frozen=True)
class Facts:
    """Facts about a machine; ``absent``: the reason why a scheduler was not found, by kind."""

    hostname: str
    variables: dict[str, str]
    cores: int
    architecture: str
    schedulers: tuple[ObservedScheduler, ...] = ()
    absent: dict[str, str] = field(default_factory=dict)
    module_system: str | None = None
    loaded: tuple[str, ...] = ()


def survey(environ: Mapping[str, str] | None = None, hostname: str | None = None) -> Facts:
    """Collect the facts. Takes a few seconds at most; anything that is missing is no error."""
    env = dict(os.environ if environ is None else environ)
    answers = {kind: probe(env) for kind, probe in SCHEDULERS.items()}
    return Facts(
        hostname=socket.gethostname() if hostname is None else hostname,
        variables={name: env[name] for name in NAMING_VARIABLES if env.get(name, "").strip()},
        cores=node.cores(env),
        architecture=platform.machine(),
        schedulers=tuple(answer for answer in answers.values() if isinstance(answer, ObservedScheduler)),
        absent={kind: answer for kind, answer in answers.items() if isinstance(answer, str)},
        module_system=modules.system(env),
        loaded=modules.loaded(env),
    )


def answering(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the kinds of scheduler that answer here and belong to the machine itself.

    The scheduler of a testbed is left out: a ``testbed.json`` is in or above the folder of the configuration file that
    the environment names. A Flux instance that the environment names is left out too: a user started it inside an
    allocation.
    """
    env = dict(os.environ if environ is None else environ)
    own = [kind for kind in SCHEDULERS if not _testbed(kind, env)]
    return [kind for kind in own if isinstance(SCHEDULERS[kind](env), ObservedScheduler)]


def _testbed(kind: str, env: Mapping[str, str]) -> bool:
    variable = {"slurm": "SLURM_CONF", "flux": "FLUX_URI", "pbs": "PBS_CONF_FILE", "lsf": "LSF_ENVDIR"}[kind]
    named = env.get(variable)
    if not named:
        return False
    if kind == "flux":
        return True
    return any((folder / "testbed.json").exists() for folder in list(Path(named).parents)[:3])
