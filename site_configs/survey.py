"""Look at the machine this runs on, for the draft of a site file: host name, cores, schedulers, module system."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from site_configs.probes import SCHEDULERS, SeenScheduler, modules, node

NAMING_VARIABLES = ("LMOD_SYSTEM_NAME", "LCSCHEDCLUSTER", "NERSC_HOST")
"""Variables by which facilities name a machine to its users; better patterns than host names, which differ by node."""


@dataclass(frozen=True)
class Facts:
    """What was found; ``absent`` says of every other kind of scheduler why it was not."""

    hostname: str
    variables: dict[str, str]
    cores: int
    architecture: str
    schedulers: tuple[SeenScheduler, ...] = ()
    absent: dict[str, str] = field(default_factory=dict)
    module_system: str | None = None
    loaded: tuple[str, ...] = ()


def survey(environ: Mapping[str, str] | None = None, hostname: str | None = None) -> Facts:
    """Look around; takes a few seconds at most and raises for nothing that is absent."""
    env = dict(os.environ if environ is None else environ)
    answers = {kind: look(env) for kind, look in SCHEDULERS.items()}
    return Facts(
        hostname=socket.gethostname() if hostname is None else hostname,
        variables={name: env[name] for name in NAMING_VARIABLES if env.get(name, "").strip()},
        cores=node.cores(env),
        architecture=platform.machine(),
        schedulers=tuple(answer for answer in answers.values() if isinstance(answer, SeenScheduler)),
        absent={kind: answer for kind, answer in answers.items() if isinstance(answer, str)},
        module_system=modules.system(env),
        loaded=modules.loaded(env),
    )


def answering(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the kinds of scheduler that answer here as the machine's own, as far as this room can ask them.

    A testbed's is left out: the record of it lies beside or above the file that the environment names. So is a Flux
    that the environment names, which somebody started inside an allocation.
    """
    env = dict(os.environ if environ is None else environ)
    own = [kind for kind in SCHEDULERS if not _testbed(kind, env)]
    return [kind for kind in own if isinstance(SCHEDULERS[kind](env), SeenScheduler)]


def _testbed(kind: str, env: Mapping[str, str]) -> bool:
    variable = {"slurm": "SLURM_CONF", "flux": "FLUX_URI", "pbs": "PBS_CONF_FILE", "lsf": "LSF_ENVDIR"}[kind]
    named = env.get(variable)
    if not named:
        return False
    if kind == "flux":
        return True
    return any((folder / "testbed.json").exists() for folder in list(Path(named).parents)[:3])
