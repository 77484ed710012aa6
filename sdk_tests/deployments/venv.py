"""``venv:DIR``: a virtual environment, by its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sdk_tests.deployments.deployment import Deployment, activated_deployment, without_python
from sdk_tests.errors import DeploymentError


def resolve(name: str, environ: Mapping[str, str]) -> Deployment:
    """Return the deployment of the virtual environment in folder ``name``."""
    return virtual_environment(Path(name), environ)


def virtual_environment(folder: Path, environ: Mapping[str, str], name: str | None = None) -> Deployment:
    """Return the deployment of a virtual environment.

    Raises:
        DeploymentError: there is no ``bin/python`` in it.
    """
    folder = folder.expanduser().absolute()
    python = folder / "bin" / "python"
    if python.is_symlink() and not python.exists():
        raise DeploymentError(
            f"--deployment venv:{folder}: {python} is a link to {os.path.realpath(python)}, which is gone; create the "
            "environment again with a Python that is there"
        )
    if not os.access(python, os.X_OK):
        raise DeploymentError(f"--deployment venv:{folder}: no program {python}; name a virtual environment's folder")
    start = without_python(environ)
    activated = {**start, "VIRTUAL_ENV": str(folder)}
    return activated_deployment(name or f"venv:{folder.name}", "venv", str(python), start, activated, (str(folder),))
