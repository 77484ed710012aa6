"""A deployment: what is under test, and the environment that its payloads run in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

OWN_PREFIX = "EXAWORKS_"
"""Variables of the harness itself, tokens among them, which payloads never see."""
FOREIGN = ("PYTEST_", "COV_CORE_")
"""Other variables of the caller that payloads never see."""
ALWAYS = {"PYTHONNOUSERSITE": "1"}
"""Set for every payload: packages in ``~/.local`` are not part of any deployment."""


@dataclass(frozen=True)
class Deployment:
    """A deployment ready to run payloads.

    python: its interpreter. environ: the complete environment of a payload beside the scheduler. delta, unset: what
    turns the environment it started from into that one, for use inside a batch job. prefixes: folders that contain what
    the activation provides; a Python package found elsewhere does not belong to the deployment. None: anything may be
    used. promises: components that this deployment promises, with the promised version (None: any). digest: names its
    contents where that is known beforehand; None: the probe computes one. left_out: components that it lacks on
    purpose, each with the reason; it does not promise them.
    """

    name: str
    kind: str
    python: str
    environ: Mapping[str, str]
    delta: Mapping[str, str]
    unset: tuple[str, ...] = ()
    prefixes: tuple[str, ...] | None = None
    promises: Mapping[str, str | None] = field(default_factory=dict)
    release: str | None = None
    digest: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def bin(self) -> str:
        return str(Path(self.python).parent)

    def wrap(self, argv: list[str], writable: Sequence[str] = ()) -> list[str]:
        """Return the command that runs ``argv`` inside the deployment; ``argv`` itself unless it is a container.

        writable: folders that the program writes to, besides its working directory.
        """
        return argv

    def unable(self, where: str, batch: bool) -> str | None:
        """Return why cases with this ``where`` cannot run from the deployment; None if they can."""
        return None

    def holds(self, location: str) -> bool:
        """Return whether a file or folder belongs to the deployment."""
        if self.prefixes is None:
            return True
        places = {Path(location), Path(os.path.realpath(location))}
        folders = {Path(folder) for prefix in self.prefixes for folder in (prefix, os.path.realpath(prefix))}
        return any(place.is_relative_to(folder) for place in places for folder in folders)


def base_environ(environ: Mapping[str, str], secrets: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the caller's environment without what belongs to the harness (settings and tokens) and to pytest."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith((OWN_PREFIX, *FOREIGN)) and name not in secrets
    }


def without_python(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables of the caller's Python.

    With PYTHONPATH and the like, other packages than the deployment's would be imported. What an activation itself sets
    is kept, since it is added to this environment.
    """
    return {name: value for name, value in environ.items() if not name.startswith("PYTHON")}


def digest(kind: str, python: str, distributions: list[str], commands: Mapping[str, object]) -> str:
    """Name the contents of a deployment: sha256 over its interpreter's version and everything installed in it."""
    text = "\n".join([kind, python, *distributions, *(f"{k} {v}" for k, v in sorted(commands.items()))])
    return hashlib.sha256(text.encode()).hexdigest()


def activated_deployment(
    name: str,
    kind: str,
    python: str,
    start: Mapping[str, str],
    activated: Mapping[str, str],
    prefixes: tuple[str, ...] | None = None,
) -> Deployment:
    """Make the deployment of an environment before (``start``) and after (``activated``) its activation."""
    own = str(Path(python).parent)
    rest = [entry for entry in activated.get("PATH", os.defpath).split(os.pathsep) if entry != own]
    complete = {**activated, **ALWAYS, "PATH": os.pathsep.join([own, *rest])}
    delta = {key: value for key, value in complete.items() if start.get(key) != value}
    return Deployment(
        name=name,
        kind=kind,
        python=python,
        environ=complete,
        delta={**delta, **ALWAYS, "PATH": complete["PATH"]},
        unset=tuple(sorted(start.keys() - complete.keys())),
        prefixes=prefixes,
    )


def added_folders(start: Mapping[str, str], activated: Mapping[str, str]) -> tuple[str, ...]:
    """Return the prefixes that an activation added: the parents of new PATH entries, and new entries of PYTHONPATH."""
    folders = [str(Path(entry).parent) for entry in _added(start, activated, "PATH")]
    return tuple(dict.fromkeys([*folders, *_added(start, activated, "PYTHONPATH")]))


def _added(start: Mapping[str, str], activated: Mapping[str, str], name: str) -> list[str]:
    before = start.get(name, "").split(os.pathsep)
    return [entry for entry in activated.get(name, "").split(os.pathsep) if entry and entry not in before]
