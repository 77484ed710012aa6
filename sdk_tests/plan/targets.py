"""From the names of the deployments of a run to its targets: each one is activated, and its contents are probed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sdk_tests.deployments import Deployment, resolve
from sdk_tests.deployments.venv import virtual_environment
from sdk_tests.errors import PlanError
from sdk_tests.plan.components import ComponentKind
from sdk_tests.plan.options import Options
from sdk_tests.plan.probe import DeploymentContents, probe
from sdk_tests.plan.target import Target, labels
from site_configs.lanes import lanes
from site_configs.schema import System

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places
    from exaworks_sdk.release import Release
    from sdk_tests.plan.preparation import Echo


def named_deployments(options: Options, system: System, places: Places, echo: Echo) -> list[str]:
    """Return the deployments to test: those of the command line, or else those of the site file.

    A deployment that the site file names under ``deployment_if_installed`` and that is not on this machine is left
    out, with a note.
    """
    if options.deployments:
        return list(options.deployments)
    chosen = list(system.deployments) or ["path"]
    for text in system.deployment_if_installed:
        place = _place(text, places)
        if place.exists():
            chosen.append(text)
        else:
            how = f"; `exaworks install --site {system.system}` creates it" if text == "spack" else ""
            echo(f"note: deployment {text} is not installed here and is not tested: there is no {place}{how}")
    return chosen


def _place(text: str, places: Places) -> Path:
    """Return the folder or file that exists where a deployment is installed."""
    from exaworks_sdk.install import spack_prefix
    from exaworks_sdk.release import load

    if text == "spack":
        return spack_prefix(places, load()) / "environment" / "spack.lock"
    return Path(text.partition(":")[2]).expanduser()


def resolve_targets(
    texts: Sequence[str], options: Options, system: System, places: Places, env: dict[str, str], echo: Echo
) -> list[tuple[str, Deployment, Release | None]]:
    """Activate every deployment. Return each one's label, the deployment, and the release it is made of.

    Raises:
        click.ClickException: one cannot be activated; the message names it, and nothing is run.
    """
    resolved = []
    for text, label in zip(texts, labels(texts, _of_site(system)), strict=True):
        try:
            resolved.append((label, *_resolve(text, options, system, places, env, echo)))
        except click.ClickException as error:
            if len(texts) == 1:
                raise
            others = " ".join(f"--deployment {other}" for other in texts if other != text)
            raise PlanError(
                f"{error.format_message()}\nDeployment {text} is one of {len(texts)} of this run ({', '.join(texts)}), "
                f"and all of them must work; nothing was run. To test the others alone: {others}"
            ) from error
    return resolved


def _of_site(system: System) -> list[str]:
    """Return every deployment that runs of this system test, together or one in a run, without repetitions."""
    beside = [lane.deployment for lane in lanes(system.ci.lanes)]
    return list(dict.fromkeys([*system.deployments, *system.deployment_if_installed, *beside]))


def probe_all(
    resolved: Iterable[tuple[str, Deployment, Release | None]],
    kinds: Mapping[str, ComponentKind],
    programs: set[str],
    echo: Echo,
) -> list[Target]:
    """Return the targets, each with the contents of its deployment."""
    targets = []
    for label, deployment, release in resolved:
        contents = probe(deployment, kinds, programs)
        echo(f"deployment {deployment.name}: Python {contents.python}, {_component_list(contents)}")
        if label:
            echo(f"the ids of its cases end in /in:{label}")
        targets.append(Target(label, deployment, contents, release))
    return targets


def _resolve(
    text: str, options: Options, system: System, places: Places, env: dict[str, str], echo: Echo
) -> tuple[Deployment, Release | None]:
    if text == "spack":
        return _spack(system, places, env)
    if text == "conda":
        return _conda(system, options, places, env, echo)
    if text != "release" and not text.startswith("release:"):
        deployment = resolve(text, env)
        return replace(deployment, promises={**dict.fromkeys(system.promises), **deployment.promises}), None
    from exaworks_sdk.install import left_out_components, pip_deployment
    from exaworks_sdk.release import load

    release = load(text.partition(":")[2] or None)
    folder = pip_deployment(places, release, progress=echo, wheelhouse=options.wheelhouse)
    deployment = virtual_environment(folder, env, name=f"release {release.name}")
    left_out = left_out_components(release, folder)
    present = [c for c in release.components if c.promised and c.name not in left_out]
    promises: dict[str, str | None] = {c.name: c.version for c in present}
    for name in system.promises:
        promises.setdefault(name, None)
    return replace(deployment, promises=promises, release=release.name, left_out=left_out), release


def _spack(system: System, places: Places, env: dict[str, str]) -> tuple[Deployment, Release]:
    """Return the deployment that ``exaworks install`` made with Spack; it promises every component in it."""
    from exaworks_sdk.install import spack_deployment
    from exaworks_sdk.release import load

    release = load(None)
    folder, concretized = spack_deployment(places, release)
    promises = {**dict.fromkeys(system.promises), **concretized}
    deployment = replace(resolve(f"spack:{folder}", env), name=f"spack {release.name}")
    return replace(deployment, promises=promises, release=release.name), release


def _conda(
    system: System, options: Options, places: Places, env: dict[str, str], echo: Echo
) -> tuple[Deployment, Release]:
    """Return the conda environment of the newest release, created if it is absent; it promises what pip installs."""
    from exaworks_sdk.conda import conda_deployment
    from exaworks_sdk.release import load

    release = load(None)
    folder = conda_deployment(places, release, env, wheelhouse=options.wheelhouse, progress=echo)
    promises: dict[str, str | None] = {c.name: c.version for c in release.components if c.promised}
    for name in system.promises:
        promises.setdefault(name, None)
    deployment = replace(resolve(f"conda:{folder}", env), name=f"conda {release.name}")
    return replace(deployment, promises=promises, release=release.name), release


def _component_list(contents: DeploymentContents) -> str:
    return ", ".join(f"{c.name} {c.version}" for c in contents.components.values()) or "no component found"
