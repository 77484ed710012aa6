"""A release for use on one machine: a pip environment made once from its lock, or what Spack has installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from exaworks_sdk.environment import EnvironmentFailedError, Recipe, machine, make
from exaworks_sdk.errors import InstallError
from exaworks_sdk.paths import Places
from exaworks_sdk.release import Release

OLDEST = (3, 10)


def pip_deployment(
    places: Places,
    release: Release,
    *,
    python: str | None = None,
    wheelhouse: Path | None = None,
    progress: Callable[[str], None],
) -> Path:
    """Return the environment that holds the release's components, made if it is not there or its lock has changed.

    It is keyed by release, platform and Python version; ``python`` is the interpreter to make it with, this one unless
    named. ``wheelhouse``, else ``$EXAWORKS_WHEELHOUSE``, is a folder to install from without any network.

    Raises:
        InstallError: it could not be made; the message has pip's own last error and says where all of its output is.
    """
    named = os.environ.get("EXAWORKS_WHEELHOUSE")
    version = "{}.{}".format(*sys.version_info[:2]) if python is None else _version(python)
    if not release.lock.is_file():
        raise InstallError(f"release {release.name} has no lock {release.lock}. Reinstall exaworks-sdk.")
    recipe = Recipe(
        folder=places.deployments / f"{release.name}-{machine()}-py{version}",
        lock=release.lock,
        label=f"the deployment of release {release.name}",
        python=python or sys.executable,
        wheelhouse=wheelhouse or (Path(named) if named else None),
        build_tools=tuple(release.build_tools),
    )
    try:
        return make(recipe, progress)
    except EnvironmentFailedError as error:
        raise InstallError(str(error)) from error


def spack_prefix(places: Places, release: Release) -> Path:
    """Return where ``exaworks install`` puts a release, unless it is told another folder."""
    return places.home / "spack" / release.name


def spack_deployment(places: Places, release: Release) -> tuple[Path, dict[str, str | None]]:
    """Return the release's Spack environment, and which of its components it was concretized to hold.

    Each stands with the release's version, or with None where it is the site's own.

    Raises:
        InstallError: ``exaworks install`` has made none here.
    """
    folder = spack_prefix(places, release) / "environment"
    try:
        nodes = json.loads((folder / "spack.lock").read_bytes())["concrete_specs"].values()
        external = {node["name"]: "external" in node for node in nodes}
    except FileNotFoundError:
        raise InstallError(
            f"deployment spack, release {release.name}: there is no environment {folder}. Make it: exaworks install, "
            "with --site SITE/SYSTEM for the site's compilers and externals. For another one say spack:ENV-or-PREFIX."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InstallError(
            f"{folder / 'spack.lock'}: cannot be read: {error}. Make it anew: exaworks install"
        ) from error
    return folder, {
        component.name: None if external[component.spack] else component.version
        for component in release.components
        if component.spack in external
    }


def _version(python: str) -> str:
    question = "import sys; print(*sys.version_info[:2], sep='.')"
    try:
        answer = subprocess.run([python, "-I", "-S", "-c", question], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InstallError(f"{python} does not run: {error}. Name a Python of at least 3.10.") from error
    version = answer.stdout.strip()
    if tuple(int(part) for part in version.split(".")) < OLDEST:
        raise InstallError(f"{python} is Python {version}; a deployment needs at least 3.10.")
    return version
