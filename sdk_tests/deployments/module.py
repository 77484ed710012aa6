"""``module:NAME``: an environment module, of Lmod or Environment Modules."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from sdk_tests.deployments.activation import activate, deployment_by_script
from sdk_tests.deployments.deployment import Deployment


def resolve(name: str, environ: Mapping[str, str]) -> Deployment:
    """Return the deployment that ``module load NAME`` gives."""
    return deployment_by_script(f"module:{name}", "module", _script(name), environ)


def with_modules(names: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with modules loaded, in this order.

    Raises:
        DeploymentError: there is no module command here, or a module cannot be loaded.
    """
    return activate(f"module:{' '.join(names)}", "".join(map(_script, names)), environ) if names else dict(environ)


def _script(name: str) -> str:
    return (
        "if ! type module >/dev/null 2>&1; then\n"
        '  for f in "${LMOD_PKG:-}/init/bash" "${MODULESHOME:-}/init/bash" /etc/profile.d/modules.sh '
        '/etc/profile.d/lmod.sh; do if [ -r "$f" ]; then . "$f"; break; fi; done\nfi\n'
        'if ! type module >/dev/null 2>&1; then echo "no module command in this shell" >&2; exit 1; fi\n'
        f"module load {shlex.quote(name)} || exit 1\n"
    )
