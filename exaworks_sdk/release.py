"""Release manifests: the version of each component of a release, and its origin.

``releases/<name>.yaml`` is the only source; ``releases/<name>.lock`` is the pip lock compiled from it.
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
    """One component at the release's version; ``pypi`` is the name of its distribution, None if it has none."""

    name: str
    version: str
    spack: str
    licence: str
    url: str
    pypi: str | None = None

    @property
    def promised(self) -> bool:
        """Return whether a pip deployment of the release contains the component."""
        return self.pypi is not None

    @property
    def spack_spec(self) -> str:
        return f"{self.spack}@{self.version}"


class Checkout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A git repository at one commit."""

    url: str
    commit: str


class SpackPins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tested Spack and packages, and every variant of the bundle by its default: ``on`` or ``off``.

    ``pins`` are the versions of shared dependencies in Spack environments of the release, by the names of ``pins`` of
    the release: Spack's repository may lack the version that a pip deployment gets.
    """

    tool: Checkout
    packages: Checkout
    on: list[str]
    off: list[str] = []
    pins: dict[str, str] = {}


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release: its components, and the versions of shared dependencies with which they work together."""

    name: str = msgspec.field(name="release")
    components: list[ReleaseComponent]
    pins: dict[str, str] = {}
    licences: dict[str, str] = {}
    """SPDX expressions of the other packages of the lock, by name."""
    build_tools: list[str] = []
    """Distributions that build the components which are published as source only."""
    compiled: dict[str, list[str]] = {}
    """Distributions without a wheel, which a C compiler builds, each with the distributions that need it."""
    spack: SpackPins | None = None

    @property
    def lock(self) -> Path:
        """Return the path of the lock: every distribution of a pip deployment, with version and hashes."""
        return FOLDER / f"{self.name}.lock"

    def requirements(self) -> list[str]:
        """Return the pip requirements of a deployment, from which the lock is compiled."""
        pinned = {component.pypi: component.version for component in self.components if component.pypi}
        return sorted(f"{name}=={version}" for name, version in (pinned | self.pins).items())


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of all releases, newest first."""
    return sorted((path.stem for path in folder.glob("*.yaml")), key=_numbers, reverse=True)


def _numbers(name: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", name)]


def load(name: str | None = None, folder: Path = FOLDER) -> Release:
    """Read the manifest of a release: the named one, or the newest.

    Raises:
        ReleaseError: there is no such release, or its manifest is wrong.
    """
    known = names(folder)
    if not known:
        raise ReleaseError(f"{folder} contains no release manifest. Reinstall exaworks-sdk.")
    if name is not None and name not in known:
        raise ReleaseError(f"there is no release {name}; choose one of: {', '.join(known)}.")
    path = folder / f"{name or known[0]}.yaml"
    try:
        release = msgspec.convert(_scalars(YAML(typ="base").load(path)), Release)
    except YAMLError as error:
        raise ReleaseError(f"{path}: not valid YAML: {error}") from error
    except msgspec.ValidationError as error:
        raise ReleaseError(f"{path}: {_located(str(error))}") from error
    _check(path, release)
    return release


def _scalars(value: object) -> object:
    """Convert ruamel's types to plain ones. Every scalar keeps the text of the file, since 1.10 is a version."""
    if isinstance(value, dict):
        return {str(key): _scalars(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_scalars(item) for item in value]
    return str(value)


def _located(message: str) -> str:
    """Replace msgspec's ``$.components[3].version`` by ``key components[3].version``."""
    reason, _, key = message.partition(" - at `$")
    return f"{reason} (key {key.rstrip('`').lstrip('.')})" if key else reason


def _check(path: Path, release: Release) -> None:
    if release.name != path.stem:
        raise ReleaseError(
            f"{path}: key release is {release.name}, but the file is named {path.stem}. Make them equal."
        )
    known: set[str] = set()
    for index, component in enumerate(release.components):
        if component.name in known:
            raise ReleaseError(f"{path}: key components[{index}].name: {component.name} is listed twice. Remove one.")
        known.add(component.name)
        if not re.fullmatch(r"\d+(\.\d+)*", component.version):
            raise ReleaseError(
                f"{path}: key components[{index}].version: {component.version!r} of {component.name} is not a version. "
                "Write numbers separated by dots."
            )
