"""``spack:ENV-or-PREFIX``: a Spack environment, by name or folder, or a view or installation prefix."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from exaworks_sdk.errors import InstallError
from exaworks_sdk.install import locked_components
from exaworks_sdk.release import load
from sdk_tests.deployments.activation import activate, deployment_by_script, not_activated
from sdk_tests.deployments.deployment import Deployment, without_python
from sdk_tests.errors import DeploymentError

ACTIVE = ("SPACK_ENV", "SPACK_ENV_VIEW", "SPACK_LOADED_HASHES", "VIRTUAL_ENV")
"""Variables of an environment that is active already; without them, an activation has to set its own."""


def resolve(name: str, environ: Mapping[str, str]) -> Deployment:
    """Return the deployment of a Spack environment, view or prefix.

    Raises:
        DeploymentError: there is no Spack or no such environment, or its activation did not activate it.
    """
    text = f"spack:{name}"
    start = {key: value for key, value in without_python(environ).items() if key not in ACTIVE}
    folder = Path(name).expanduser().absolute()
    if (folder / "bin").is_dir():
        deployment = deployment_by_script(text, "spack", start, activate(text, _prefix_script(folder), start))
        prefixes = (str(folder), *(deployment.prefixes or ()))
        return replace(deployment, prefixes=prefixes, promises=_promises(text, folder.resolve()))
    activated = activate(text, _environment_script(name, folder), start)
    active = activated.get("SPACK_ENV")
    if not active or not _same(name, folder, active):
        raise not_activated(text, f"the environment {name} is not active", f"SPACK_ENV is {active!r}")
    deployment = deployment_by_script(text, "spack", start, activated)
    if not deployment.prefixes:
        raise not_activated(
            text,
            "it added nothing to PATH",
            f"nothing is installed in the environment in {active}; run `spack -e {name} install`",
        )
    promises = _promises(text, Path(active))
    return replace(deployment, prefixes=(active, *deployment.prefixes), promises=promises)


def _promises(text: str, folder: Path) -> dict[str, str | None]:
    """Return the components that the lock of an environment contains; ``folder`` is the environment, or its view."""
    for place in (folder, *folder.parents[:3]):
        if (place / "spack.lock").is_file():
            try:
                return dict.fromkeys(locked_components(place / "spack.lock", load()))
            except InstallError as error:
                raise DeploymentError(f"--deployment {text}: {error}") from error
    return {}


def _same(name: str, folder: Path, active: str) -> bool:
    return Path(active).name == name or os.path.realpath(active) == os.path.realpath(folder)


def _prefix_script(prefix: Path) -> str:
    sites = sorted(str(site) for site in prefix.glob("lib*/python3*/site-packages"))
    path = f'export PATH={shlex.quote(str(prefix / "bin"))}:"$PATH"'
    return path + (f"\nexport PYTHONPATH={shlex.quote(':'.join(sites))}" if sites else "")


def _environment_script(name: str, folder: Path) -> str:
    """Return the script that activates an environment; a failed command substitution must not be lost in an eval."""
    own = folder.parent / "spack" / "bin" / "spack"
    if (folder / "spack.yaml").is_file() and own.is_file():  # the layout of `exaworks install`
        find, wanted = f"spack_bin={shlex.quote(str(own))}\n", str(folder)
    else:
        find = (
            'spack_bin=$(command -v spack || echo "${SPACK_ROOT:-/nonexistent}/bin/spack")\n'
            'if [ ! -x "$spack_bin" ]; then echo "no spack on PATH and SPACK_ROOT does not name one" >&2; exit 1; fi\n'
        )
        wanted = str(folder) if (folder / "spack.yaml").is_file() else name
    return (
        f"{find}exaworks_step spack env activate {shlex.quote(wanted)}\n"
        f'script=$("$spack_bin" env activate --sh {shlex.quote(wanted)}) || exit 1\n'
        'before=$PATH\neval "$script"\n'
        # Without a view, as in the environments of E4S, the environment of each installed root is loaded instead.
        'if [ -n "${SPACK_ENV:-}" ] && [ "$PATH" = "$before" ]; then\n'
        "exaworks_step spack load of what is installed\n"
        f'roots=$("$spack_bin" -e {shlex.quote(wanted)} find --explicit --format "/{{hash}}") || exit 1\n'
        'if [ -n "$roots" ]; then\n'
        f'script=$("$spack_bin" -e {shlex.quote(wanted)} load --sh $roots) || exit 1\n'
        'eval "$script"\nfi\nfi'
    )
