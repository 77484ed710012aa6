"""Derive the documentation page of a release and the comparison of two releases from release manifests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exaworks_sdk.release import Release
from exaworks_sdk.releasing.licences import licence_table, package_licences
from exaworks_sdk.spack.environment import bundle_spec
from exaworks_sdk.spack.licences import UNKNOWN, SpackPackage, file_of, read_licences


@dataclass(frozen=True)
class Change:
    """A component or shared dependency that differs between two releases; the version is None where it is absent."""

    name: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> str:
        """Return ``new``, ``gone``, ``newer`` or ``older``."""
        if self.before is None:
            return "new"
        if self.after is None:
            return "gone"
        return "newer" if _number(self.after) > _number(self.before) else "older"


def _number(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def changes(before: Release, after: Release) -> list[Change]:
    """Return the components and shared dependencies that differ between two releases, sorted by name."""
    old, new = ({c.name: c.version for c in release.components} | release.pins for release in (before, after))
    pairs = [Change(name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]
    return [change for change in pairs if change.before != change.after]


def _listed(pins: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(pins.items())) or "none"


def page(release: Release) -> str:
    """Return the documentation page of a release, in Markdown."""
    from tabulate import tabulate

    rows = [(f"[{c.name}]({c.url})", c.version, f"`{c.pypi}`" if c.pypi else "", f"`{c.spack_spec}`", c.licence)
            for c in release.components]  # fmt: skip
    table = tabulate(
        rows, ("component", "version", "PyPI", "Spack", "licence"), tablefmt="github", disable_numparse=True
    )
    parts = [
        f"# Release {release.name}",
        f"Made from `exaworks_sdk/releases/{release.name}.yaml` by `exaworks release page {release.name}`.",
        table,
        f"Pinned with them in pip deployments: {_listed(release.pins)}.",
    ]
    if release.spack is not None:
        spack, packages = release.spack.tool, release.spack.packages
        parts += [
            "## With Spack",
            f"    spack install {bundle_spec(release)}",
            f"Tested with Spack `{spack.commit[:12]}` and its packages `{packages.commit[:12]}`. Their shared "
            f"dependencies in the environments of the release: {_listed(release.spack.pins)}.",
        ]
    parts += ["## With pip", f"    exaworks release install {release.name}"]
    copyleft = [package for package in package_licences(release) if package.strong_copyleft]
    parts += ["## Licences", "Of the components and of every other package of the pip deployment."]
    parts += [
        f"**{package.name} is under strong copyleft** ({package.expression}). Its terms extend to programs that use it."
        for package in copyleft
    ]
    parts.append(licence_table(release, "github"))
    if file_of(release).is_file():
        parts += _of_what_spack_builds(read_licences(release))
    return "\n\n".join(parts) + "\n"


def _of_what_spack_builds(packages: Sequence[SpackPackage]) -> list[str]:
    """Return the paragraphs about the licences of the Spack locks: what is strong copyleft, and what is not known."""
    known = [each for each in packages if each.licence != UNKNOWN]
    needed, tools = ([each for each in known if each.strong_copyleft and each.run is run] for run in (True, False))
    unknown = [each for each in packages if each.licence == UNKNOWN and each.run]
    paragraphs = [
        "### Of what Spack builds",
        f"`exaworks release licenses --spack` lists the {len(packages)} packages of the locks of all systems, with the "
        "licences that their recipes declare. Software of a site, which Spack does not build, is not among them.",
    ]
    sentences = (
        (needed, "Part of what is installed, and **under strong copyleft**"),
        (tools, "Under strong copyleft, but only tools of the build"),
        (unknown, "Part of what is installed, and their recipes declare no licence"),
    )
    for chosen, sentence in sentences:
        names = dict.fromkeys(f"{each.name} ({each.licence})" if chosen is needed else each.name for each in chosen)
        paragraphs.append(f"{sentence}: {', '.join(names) or 'none'}.")
    return paragraphs
