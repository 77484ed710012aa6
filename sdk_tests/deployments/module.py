"""``module:NAME``: an environment module, of Lmod or Environment Modules."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence

from sdk_tests.deployments.activation import activate, deployment_by_script, not_activated
from sdk_tests.deployments.deployment import Deployment, without_python

FIND_MODULE = (
    "if ! type module >/dev/null 2>&1; then\n"
    '  for f in "${LMOD_PKG:-}/init/bash" "${MODULESHOME:-}/init/bash" /etc/profile.d/modules.sh '
    '/etc/profile.d/lmod.sh; do if [ -r "$f" ]; then . "$f"; break; fi; done\nfi\n'
    'if ! type module >/dev/null 2>&1; then echo "no module command in this shell" >&2; exit 1; fi\n'
)


def resolve(name: str, environ: Mapping[str, str]) -> Deployment:
    """Return the deployment that ``module load NAME`` gives.

    Raises:
        DeploymentError: there is no module command or no such module, or it was not loaded.
    """
    start = without_python(environ)
    return deployment_by_script(f"module:{name}", "module", start, with_modules([name], start))


def with_modules(names: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with modules loaded, in this order.

    Raises:
        DeploymentError: there is no module command here, or a module was not loaded.
    """
    if not names:
        return dict(environ)
    text = f"module:{' '.join(names)}"
    loads = [f"exaworks_step module load {shlex.quote(n)}\nmodule load {shlex.quote(n)} || exit 1\n" for n in names]
    activated = activate(text, FIND_MODULE + "".join(loads), environ)
    loaded = activated.get("LOADEDMODULES", "").split(os.pathsep)
    for name in names:
        if not any(_is(name, entry) for entry in loaded):
            shown = ", ".join(entry for entry in loaded if entry) or "none"
            raise not_activated(text, f"{name} is not loaded", f"the loaded modules are: {shown}")
    return activated


def _is(name: str, loaded: str) -> bool:
    """Return whether an entry of LOADEDMODULES is what ``name`` asked for: itself, or a version of it.

    A symbolic version (``parsl/default``) is resolved by the module system, so another version of the same module
    counts as well.
    """
    return loaded == name or loaded.startswith(f"{name}/") or loaded.partition("/")[0] == name.partition("/")[0]
