"""The sources of a Python environment, and its folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class EnvironmentFailedError(Exception):
    """An environment could not be created; the message states what failed, where, and what to do."""


@dataclass(frozen=True)
class Recipe:
    """The sources of an environment, and its folder."""

    folder: Path
    lock: Path
    label: str
    python: str = sys.executable
    checkout: Path | None = None
    """A checkout to install in place, in addition to the packages of the lock."""
    wheelhouse: Path | None = None
    build_tools: tuple[str, ...] = ()
    """Packages of the lock that build its source distributions; they are installed first, and no others are used."""
    compiled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Packages of the lock that a C compiler builds, each with the packages that need it. Where nothing can be compiled
    and no wheel is at hand, all of them are left out."""
    creation: tuple[str, ...] = ()
    """The command that creates the environment with its interpreter, instead of the module venv."""
    more_sources: Mapping[str, Path] = field(default_factory=dict)
    """Further files whose change makes the environment outdated, by the name of their copy."""
    uv_lock: Path | None = None
    """The lock of uv. Where uv is not at hand, it is installed into the environment, and then installs the rest."""

    @property
    def sources(self) -> dict[str, Path]:
        """The files whose change makes the environment outdated, by the name of their copy."""
        project = {"pyproject.toml": self.checkout / "pyproject.toml"} if self.checkout else {}
        return {"lock": self.lock, **project, **self.more_sources}

    @property
    def log(self) -> Path:
        return self.folder.with_name(self.folder.name + ".log")

    @property
    def interpreter(self) -> Path:
        return self.folder / "bin" / "python"
