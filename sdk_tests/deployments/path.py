"""``path``: whatever is on PATH."""

from __future__ import annotations

from collections.abc import Mapping

from sdk_tests.deployments.activation import deployment_by_script
from sdk_tests.deployments.deployment import Deployment


def resolve(name: str, environ: Mapping[str, str]) -> Deployment:
    """Return the deployment of the environment as it is; ``name`` is empty."""
    return deployment_by_script("path", "path", "", environ)
