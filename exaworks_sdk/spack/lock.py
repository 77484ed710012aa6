"""The lock of a release for one system: what it contains, and whether manifest, site scope and lock agree.

``spack_repo/environments/<release>/<site>/<system>/spack.lock`` is Spack's own file, made by ``exaworks release lock``.
It is read here without Spack, which may not be installed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exaworks_sdk.errors import ReleaseError
from exaworks_sdk.release import Release
from exaworks_sdk.spack.environment import BUNDLE, bundle_spec
from site_configs.schema import SpackHost
from site_configs.scope import External, externals

NAME = "spack.lock"
NAMESPACE = "exaworks"
LIBC = "glibc"
"""An external of every lock: the C library of the machine, which Spack finds by itself."""
FLUX = ("flux-core", "flux-sched")
"""Components that may be a system's own: an external within the range that the bundle accepts."""


@dataclass(frozen=True)
class Lock:
    """A lock. nodes: the packages by DAG hash, as Spack writes them. roots: the specs of the environment."""

    nodes: Mapping[str, Mapping[str, Any]]
    roots: tuple[str, ...]
    spack: Mapping[str, Any]

    def named(self, name: str) -> list[Mapping[str, Any]]:
        return [node for node in self.nodes.values() if node["name"] == name]


def lock_file(checkout: Path, release: Release, system: str) -> Path:
    """Return the path of a system's lock in a checkout, whether it exists or not."""
    return checkout / "spack_repo" / "environments" / release.name / system / NAME


def read_lock(path: Path) -> Lock:
    """Read a lock.

    Raises:
        ReleaseError: it cannot be read, or is no lock of Spack.
    """
    try:
        content = json.loads(path.read_bytes())
        nodes = content["concrete_specs"]
        roots = tuple(root["spec"] for root in content["roots"])
        for node in nodes.values():
            if not all(isinstance(each, str) for each in (node["name"], node["version"], node["arch"]["platform_os"])):
                raise TypeError("a package has no name, version or architecture")
            _target(node)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(f"{path}: cannot be read: {error!r}. Make it again with `exaworks release lock`.") from error
    return Lock(nodes, roots, content.get("spack", {}))


def disagreements(lock: Lock, release: Release, scope: Path, host: SpackHost | None) -> list[str]:
    """Return where a lock differs from the manifest, from the system's scope or from its description; one line each."""
    return [*_with_manifest(lock, release), *_with_scope(lock, externals(scope)), *_with_host(lock, host)]


def _with_manifest(lock: Lock, release: Release) -> Iterator[str]:
    wanted = bundle_spec(release)
    if [_bare(root) for root in lock.roots] != [_bare(wanted)]:
        yield f"its roots are {', '.join(lock.roots)}; the manifest has {wanted}"
    bundle = lock.named(BUNDLE)
    if len(bundle) != 1 or release.spack is None:
        yield f"it contains {len(bundle)} packages {BUNDLE}"
        return
    parameters = bundle[0].get("parameters", {})
    for variants, value in ((release.spack.on, True), (release.spack.off, False)):
        for variant in variants:
            if parameters.get(variant) is not value:
                yield f"{BUNDLE} has {variant}={parameters.get(variant)}; the manifest has {value}"
    for component in release.components:
        nodes = lock.named(component.spack)
        if not nodes:
            yield f"it has no {component.spack}, which the manifest names"
        for node in nodes:
            external = "external" in node
            if external and component.spack not in FLUX:
                yield f"{component.spack} is an external"
            elif not external and node["version"] != component.version:
                yield f"{component.spack} is {node['version']}; the manifest has {component.version}"
            if not external and node.get("namespace") != NAMESPACE:
                yield f"{component.spack} is of repository {node.get('namespace')}, not of {NAMESPACE}"
    commit = lock.spack.get("commit")
    if commit is not None and commit != release.spack.tool.commit:
        yield f"it was made with Spack {commit[:12]}; the manifest names {release.spack.tool.commit[:12]}"
    for name, pin in release.spack.pins.items():
        for node in lock.named(f"py-{name}"):
            if node["version"] != pin:
                yield f"py-{name} is {node['version']}; the manifest has {pin} under spack: pins:"


def _bare(spec: str) -> str:
    """Return a spec without spaces; Spack writes them only where they are needed."""
    return spec.replace(" ", "")


def _with_scope(lock: Lock, declared: list[External]) -> Iterator[str]:
    places: dict[str, list[External]] = {}
    for external in declared:
        places.setdefault(_name_and_version(external.spec)[0], []).append(external)
    for node in lock.nodes.values():
        if "external" not in node or node["name"] == LIBC:
            continue
        found = node["external"]
        if not any(_is(found, node["version"], external) for external in places.get(node["name"], [])):
            where = found.get("path") or found.get("module")
            yield f"it uses {node['name']}@{node['version']} in {where}, which the scope of the system does not have"


def _is(found: Mapping[str, Any], version: str, external: External) -> bool:
    """Return whether an external of a lock is one of the scope: the same version, in the same prefix or modules."""
    declared = _name_and_version(external.spec)[1]
    if declared is not None and version != declared:
        return False
    modules = tuple(found.get("module") or ())
    return (external.prefix or found.get("path")) == found.get("path") and external.modules == modules


def _name_and_version(spec: str) -> tuple[str, str | None]:
    """Return name and version of an external's spec, such as ``gcc@14.2.0 languages='c,c++'``."""
    match = re.match(r"\s*([\w-]+)(?:@=?([\w.-]+))?", spec)
    return (match[1], match[2]) if match else (spec, None)


def _with_host(lock: Lock, host: SpackHost | None) -> Iterator[str]:
    if host is None:
        yield "the site file does not describe the machine: add spack_host"
        return
    systems = {node["arch"]["platform_os"] for node in lock.nodes.values()}
    if systems != {host.os}:
        yield f"it is for {', '.join(sorted(systems))}; spack_host of the site file has {host.os}"
    targets = {_target(node) for node in lock.nodes.values() if "external" not in node}
    if targets != {host.target}:
        yield f"it is for {', '.join(sorted(targets))}; spack_host of the site file has {host.target}"
    for node in lock.named(LIBC):
        if node["version"] != host.glibc:
            yield f"it is for {LIBC} {node['version']}; spack_host of the site file has {host.glibc}"


def _target(node: Mapping[str, Any]) -> str:
    target = node["arch"]["target"]
    return str(target["name"] if isinstance(target, dict) else target)
