"""A deployment: what is under test, and the environment that its payloads run in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

OWN_PREFIX = "EXAWORKS_"
"""Variables of the harness itself, tokens among them, which payloads never see."""


@dataclass(frozen=True)
class Deployment:
    """A deployment ready to run payloads.

    ``environ`` is the complete environment of a payload beside the scheduler; ``delta`` what activation adds to or
    changes in the environment it started from, for use inside a batch job. ``promises`` maps components this
    deployment promises to the promised version (None: any).
    """

    name: str
    kind: str
    python: str
    environ: Mapping[str, str]
    delta: Mapping[str, str]
    promises: Mapping[str, str | None] = field(default_factory=dict)
    release: str | None = None
    digest: str | None = None
    """What names its contents where that is known beforehand; None: what the probe finds in it does."""

    @property
    def bin(self) -> str:
        return str(Path(self.python).parent)

    def wrap(self, argv: list[str]) -> list[str]:
        """Return the command that runs ``argv`` inside the deployment; the identity for all that needs no container."""
        return argv

    def unable(self, where: str, batch: bool) -> str | None:
        """Return why cases of that kind cannot run from it, or None; the rule for all that needs no container."""
        return None


def base_environ(environ: Mapping[str, str], secrets: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the environment without what belongs to the harness: its settings and tokens, and pytest's."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith((OWN_PREFIX, "PYTEST_", "COV_CORE_")) and name not in secrets
    }


def digest(kind: str, python: str, distributions: list[str], commands: Mapping[str, object]) -> str:
    """Name the contents of a deployment: sha256 over its interpreter's version and everything installed in it."""
    text = "\n".join([kind, python, *distributions, *(f"{k} {v}" for k, v in sorted(commands.items()))])
    return hashlib.sha256(text.encode()).hexdigest()


def activated_deployment(
    name: str, kind: str, python: str, start: Mapping[str, str], activated: Mapping[str, str]
) -> Deployment:
    """Make the deployment of an environment before (``start``) and after (``activated``) its activation."""
    own = str(Path(python).parent)
    rest = [entry for entry in activated.get("PATH", os.defpath).split(os.pathsep) if entry != own]
    complete = {**activated, "PATH": os.pathsep.join([own, *rest])}
    delta = {key: value for key, value in complete.items() if start.get(key) != value}
    return Deployment(name=name, kind=kind, python=python, environ=complete, delta={**delta, "PATH": complete["PATH"]})
