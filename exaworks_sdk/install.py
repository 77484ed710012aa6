"""A release on one machine: a pip environment created from its lock, or the environment that Spack installed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from exaworks_sdk.environment import is_current, left_out, machine, make
from exaworks_sdk.errors import InstallError
from exaworks_sdk.locks import canonical
from exaworks_sdk.paths import Places
from exaworks_sdk.recipe import EnvironmentFailedError, Recipe
from exaworks_sdk.release import Release
from exaworks_sdk.utf8_path import private_folder

MIN_PYTHON = (3, 10)


def pip_deployment(
    places: Places,
    release: Release,
    *,
    python: str | None = None,
    wheelhouse: Path | None = None,
    progress: Callable[[str], None],
) -> Path:
    """Return the folder of the pip environment of a release. Create it if it is absent or its lock has changed.

    There is one environment for each release, platform and Python version. ``python`` is the interpreter to create it
    with, by default this one. ``wheelhouse``, else ``$EXAWORKS_WHEELHOUSE``, is a folder to install from, without a
    network.

    Raises:
        InstallError: it could not be created; the message has the last error of pip and the path of its full output.
    """
    try:
        return make(_recipe(places, release, python, wheelhouse), progress)
    except EnvironmentFailedError as error:
        raise InstallError(str(error)) from error


def pip_deployment_exists(places: Places, release: Release, *, wheelhouse: Path | None = None) -> bool:
    """Return whether ``pip_deployment`` has nothing to create or to update.

    Raises:
        InstallError: the lock of the release is absent.
    """
    return is_current(_recipe(places, release, None, wheelhouse))


def _recipe(places: Places, release: Release, python: str | None, wheelhouse: Path | None) -> Recipe:
    default_wheelhouse = os.environ.get("EXAWORKS_WHEELHOUSE")
    version = "{}.{}".format(*sys.version_info[:2]) if python is None else _version(python)
    if not release.lock.is_file():
        raise InstallError(f"the lock of release {release.name} is absent: {release.lock}. Reinstall exaworks-sdk.")
    return Recipe(
        folder=_without_spaces(places) / f"{release.name}-{machine()}-py{version}",
        lock=release.lock,
        label=f"the deployment of release {release.name}",
        python=python or sys.executable,
        wheelhouse=wheelhouse or (Path(default_wheelhouse) if default_wheelhouse else None),
        build_tools=tuple(release.build_tools),
        compiled={name: tuple(dependents) for name, dependents in release.compiled.items()},
    )


def _without_spaces(places: Places) -> Path:
    """Return the folder for deployments: a private one elsewhere, if the path of the usual one contains a space.

    RADICAL-Pilot's agent does not start from a path with a space, nor through a link to one.

    Raises:
        InstallError: the private folder cannot be used.
    """
    if not re.search(r"\s", str(places.deployments)):
        return places.deployments
    try:
        key = hashlib.sha256(str(places.deployments).encode()).hexdigest()[:12]
        return private_folder() / f"deployments-{key}"
    except OSError as error:
        raise InstallError(
            f"{places.deployments} contains a space, which RADICAL-Pilot does not accept, and {error.filename} cannot "
            f"be used in its place: {error.strerror}. Set EXAWORKS_HOME to a folder without spaces."
        ) from error


def left_out_components(release: Release, folder: Path) -> dict[str, str]:
    """Return the components of a release that its pip environment in ``folder`` lacks on purpose, with the reason."""
    packages = left_out(folder)
    return {
        component.name: packages[distribution]
        for component in release.components
        if component.pypi and (distribution := canonical(component.pypi)) in packages
    }


def spack_prefix(places: Places, release: Release) -> Path:
    """Return the default folder of ``exaworks install`` for a release."""
    return places.home / "spack" / release.name


def spack_deployment(places: Places, release: Release) -> tuple[Path, dict[str, str | None]]:
    """Return the folder of the release's Spack environment, and the components that it contains.

    The value of a component is the release's version, or None if it is an external of the site.

    Raises:
        InstallError: ``exaworks install`` has created no such environment, or its lock cannot be read.
    """
    folder = spack_prefix(places, release) / "environment"
    if not (folder / "spack.lock").exists():
        raise InstallError(
            f"deployment spack, release {release.name}: there is no environment {folder}. Create it with 'exaworks "
            "install' (--site SITE/SYSTEM uses a site's compilers and externals), or name another: spack:ENV-or-PREFIX."
        )
    return folder, locked_components(folder / "spack.lock", release)


def locked_components(lock: Path, release: Release) -> dict[str, str | None]:
    """Return the components of a release that the lock of a Spack environment contains.

    The value of a component is the release's version, or None if it is an external of the site.

    Raises:
        InstallError: the lock cannot be read.
    """
    try:
        nodes = json.loads(lock.read_bytes())["concrete_specs"].values()
        external = {node["name"]: "external" in node for node in nodes}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InstallError(f"{lock}: cannot be read: {error}. Concretize the environment again.") from error
    return {
        component.name: None if external[component.spack] else component.version
        for component in release.components
        if component.spack in external
    }


def _version(python: str) -> str:
    program = "import sys; print(*sys.version_info[:2], sep='.')"
    try:
        answer = subprocess.run([python, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InstallError(f"{python} does not run: {error}. Choose a Python of version 3.10 or newer.") from error
    version = answer.stdout.strip()
    if tuple(int(part) for part in version.split(".")) < MIN_PYTHON:
        raise InstallError(f"{python} is Python {version}; a deployment needs 3.10 or newer.")
    return version
