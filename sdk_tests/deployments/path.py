"""``path``: whatever is on PATH."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sdk_tests.deployments.activation import deployment_by_script
from sdk_tests.deployments.deployment import Deployment


def resolve(name: str, environ: Mapping[str, str]) -> Deployment:
    """Return the deployment of the environment as it is; ``name`` is empty.

    Only here the caller's variables of Python count: a module that the caller loaded may have set PYTHONPATH.
    """
    deployment = deployment_by_script("path", "path", environ, environ)
    python = {name: value for name, value in environ.items() if name.startswith("PYTHON")}
    return replace(deployment, delta={**python, **deployment.delta}, prefixes=None)
