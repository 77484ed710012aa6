"""The kinds of deployment, found by their entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from sdk_tests.deployments.deployment import Deployment
from sdk_tests.errors import DeploymentError

KNOWN = "venv:DIR, spack:ENV-or-PREFIX, module:NAME, conda:NAME, image:NAME-or-SIF, path"


def resolve(text: str, environ: Mapping[str, str]) -> Deployment:
    """Return the deployment that ``venv:DIR``, ``spack:ENV-or-PREFIX``, ``image:NAME`` and the like, or ``path``, name.

    Raises:
        DeploymentError: the text names no kind, or what it names does not exist or cannot be activated.
    """
    kind, _, name = text.partition(":")
    point = next(iter(entry_points(group="exaworks.deployments", name=kind)), None)
    if point is None or (kind != "path" and not name):
        raise DeploymentError(f"--deployment {text}: not a deployment; give one of {KNOWN}")
    deployment: Deployment = point.load()(name, environ)
    return deployment
