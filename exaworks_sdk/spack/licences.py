"""The licences of the packages that Spack builds for a release, from its locks: ``releases/<name>.spack.json``.

The expressions are those that the recipes declare (``license`` directives), read when the locks are made. A recipe
without one is listed as such. Externals are a site's own software and are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from exaworks_sdk.errors import ReleaseError
from exaworks_sdk.release import FOLDER, Release
from exaworks_sdk.spack.lock import Lock
from exaworks_sdk.strong_copyleft import is_strong_copyleft

UNKNOWN = "NOASSERTION"
"""What SPDX writes for a package of which no licence is declared."""


class SpackPackage(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """A package of the locks. run: whether what is installed needs it; else it is only a tool of the build."""

    name: str
    version: str
    licence: str
    run: bool

    @property
    def strong_copyleft(self) -> bool:
        return is_strong_copyleft(self.licence)

    @property
    def use(self) -> str:
        return "run" if self.run else "build only"


def file_of(release: Release) -> Path:
    """Return the file with the licences of a release's locks."""
    return FOLDER / f"{release.name}.spack.json"


def read_licences(release: Release) -> list[SpackPackage]:
    """Return the packages of all locks of a release, sorted by name.

    Raises:
        ReleaseError: there is no such file, or it is wrong.
    """
    path = file_of(release)
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[SpackPackage])
    except FileNotFoundError:
        raise ReleaseError(
            f"release {release.name} has no Spack locks, so the packages that Spack builds are unknown: "
            "`exaworks release lock --all` makes them."
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise ReleaseError(f"{path}: {error}. Make it again with `exaworks release lock --all`.") from error


def write_licences(release: Release, packages: Iterable[SpackPackage], path: Path | None = None) -> None:
    """Write the packages of the locks, one line each."""
    lines = ",\n".join(msgspec.json.encode(each).decode() for each in sorted(packages))
    (path or file_of(release)).write_text(f"[\n{lines}\n]\n")


def packages_of(lock: Lock, licences: Mapping[str, str]) -> list[SpackPackage]:
    """Return the packages of a lock that Spack builds. licences: by DAG hash; an empty one is unknown."""
    needed = run_time(lock)
    return sorted(
        {
            SpackPackage(node["name"], node["version"], licences.get(key) or UNKNOWN, key in needed)
            for key, node in lock.nodes.items()
            if "external" not in node
        }
    )


def merged(packages: Iterable[SpackPackage]) -> list[SpackPackage]:
    """Return the packages of several locks once each; one that any system needs to run is needed to run."""
    known: dict[tuple[str, str, str], bool] = {}
    for each in packages:
        key = (each.name, each.version, each.licence)
        known[key] = known.get(key, False) or each.run
    return sorted(SpackPackage(*key, run) for key, run in known.items())


def run_time(lock: Lock) -> set[str]:
    """Return the DAG hashes of what the roots of a lock link or run, directly or not."""
    found: set[str] = set()
    open_hashes = [key for key, node in lock.nodes.items() if node["name"] == "exaworks"]
    while open_hashes:
        key = open_hashes.pop()
        if key not in found and key in lock.nodes:
            found.add(key)
            open_hashes += [each["hash"] for each in lock.nodes[key].get("dependencies", ()) if _is_run(each)]
    return found


def _is_run(dependency: Mapping[str, Any]) -> bool:
    return bool({"link", "run"} & set(dependency["parameters"]["deptypes"]))


def spack_table(packages: Iterable[SpackPackage], form: str) -> str:
    """Return a table of packages in a format of tabulate; packages under strong copyleft are marked."""
    from tabulate import tabulate

    rows = [
        (each.name, each.version, each.licence, each.use, "strong copyleft" if each.strong_copyleft else "")
        for each in packages
    ]
    return tabulate(rows, ("package", "version", "licence", "use", ""), tablefmt=form, disable_numparse=True)


def read_declared(path: Path) -> dict[str, str]:
    """Return the licences by DAG hash that ``elsewhere.py`` has written."""
    declared: dict[str, str] = json.loads(path.read_bytes())
    return declared
