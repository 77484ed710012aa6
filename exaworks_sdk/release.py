"""Release manifests: which version of each component belongs to a release, and where it comes from.

``releases/<name>.yaml`` is the one source; ``releases/<name>.lock`` is the pip lock compiled from it.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from exaworks_sdk.errors import ReleaseError

FOLDER = Path(__file__).resolve().parent / "releases"


class ReleaseComponent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One component at the release's version; ``pypi`` is its distribution's name, None where it has none."""

    name: str
    version: str
    spack: str
    licence: str
    url: str
    pypi: str | None = None

    @property
    def promised(self) -> bool:
        """Say whether a pip deployment of the release contains it."""
        return self.pypi is not None

    @property
    def spack_spec(self) -> str:
        return f"{self.spack}@{self.version}"


class Checkout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A git repository at one commit."""

    url: str
    commit: str


class SpackPins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the release was tried with under Spack; every variant of the bundle is ``on`` or ``off`` by default."""

    tool: Checkout
    packages: Checkout
    on: list[str]
    off: list[str] = []


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release: its components, and the pins of shared dependencies that make them fit together."""

    name: str = msgspec.field(name="release")
    components: list[ReleaseComponent]
    pins: dict[str, str] = {}
    build_tools: list[str] = []
    """Distributions that build those components which come as source only."""
    spack: SpackPins | None = None

    @property
    def lock(self) -> Path:
        """Return the file with every distribution of a pip deployment, pinned and hashed."""
        return FOLDER / f"{self.name}.lock"

    def requirements(self) -> list[str]:
        """Return the pip requirements of a deployment: what the lock is compiled from."""
        pinned = {component.pypi: component.version for component in self.components if component.pypi}
        return sorted(f"{name}=={version}" for name, version in (pinned | self.pins).items())


def names(folder: Path = FOLDER) -> list[str]:
    """Return the known releases, the newest first."""
    return sorted((path.stem for path in folder.glob("*.yaml")), key=_age, reverse=True)


def _age(name: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", name)]


def load(name: str | None = None, folder: Path = FOLDER) -> Release:
    """Read a release's manifest, the newest unless one is named.

    Raises:
        ReleaseError: there is no such release, or its manifest is wrong.
    """
    known = names(folder)
    if not known:
        raise ReleaseError(f"{folder} holds no release manifest. Reinstall exaworks-sdk.")
    if name is not None and name not in known:
        raise ReleaseError(f"there is no release {name}; known: {', '.join(known)}.")
    path = folder / f"{name or known[0]}.yaml"
    try:
        release = msgspec.convert(_scalars(YAML(typ="base").load(path)), Release)
    except YAMLError as error:
        raise ReleaseError(f"{path}: is not YAML: {error}") from error
    except msgspec.ValidationError as error:
        raise ReleaseError(f"{path}: {_located(str(error))}") from error
    _check(path, release)
    return release


def _scalars(value: object) -> object:
    """Turn ruamel's own types into plain ones; every scalar stays the text that was written (1.10 is a version)."""
    if isinstance(value, dict):
        return {str(key): _scalars(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_scalars(item) for item in value]
    return str(value)


def _located(message: str) -> str:
    """Put msgspec's ``$.components[3].version`` as ``key components[3].version``."""
    said, _, where = message.partition(" - at `$")
    return f"{said} (key {where.rstrip('`').lstrip('.')})" if where else said


def _check(path: Path, release: Release) -> None:
    if release.name != path.stem:
        raise ReleaseError(f"{path}: key release says {release.name}, the file's name {path.stem}. Make them agree.")
    seen: set[str] = set()
    for index, component in enumerate(release.components):
        if component.name in seen:
            raise ReleaseError(f"{path}: key components[{index}].name: {component.name} is listed twice. Remove one.")
        seen.add(component.name)
        if not re.fullmatch(r"\d+(\.\d+)*", component.version):
            raise ReleaseError(
                f"{path}: key components[{index}].version: {component.version!r} of {component.name} is no version. "
                "Give numbers separated by dots."
            )
