"""``conda:NAME``: a conda environment, by name or folder, activated by conda or by micromamba."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from sdk_tests.deployments.activation import activate, deployment_by_script, not_activated
from sdk_tests.deployments.deployment import Deployment, without_python

ACTIVE = ("CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_SHLVL", "CONDA_PROMPT_MODIFIER", "VIRTUAL_ENV")
"""Variables of an environment that is active already; without them, an activation has to set its own."""


def resolve(name: str, environ: Mapping[str, str]) -> Deployment:
    """Return the deployment that ``conda activate NAME``, or ``micromamba activate NAME``, gives.

    Raises:
        DeploymentError: there is neither, or no such environment, or the activation did not set its variables.
    """
    text = f"conda:{name}"
    start = {key: value for key, value in without_python(environ).items() if key not in ACTIVE}
    quoted = shlex.quote(name)
    script = (
        'conda_bin=$(command -v conda || echo "${CONDA_EXE:-}")\n'
        'mamba_bin=$(command -v micromamba || echo "${MAMBA_EXE:-}")\n'
        'if [ -n "$conda_bin" ]; then\n'
        '  hook=$("$conda_bin" shell.bash hook) || exit 1\n'
        f'  eval "$hook" && exaworks_step conda activate {quoted} && conda activate {quoted} || exit 1\n'
        'elif [ -n "$mamba_bin" ]; then\n'
        '  hook=$("$mamba_bin" shell hook --shell bash) || exit 1\n'
        f'  eval "$hook" && exaworks_step micromamba activate {quoted} && micromamba activate {quoted} || exit 1\n'
        "else\n"
        '  echo "no conda on PATH, and no micromamba" >&2; exit 1\n'
        "fi"
    )
    activated = activate(text, script, start)
    prefix, active = activated.get("CONDA_PREFIX"), activated.get("CONDA_DEFAULT_ENV")
    if not prefix or not Path(prefix).is_dir():
        raise not_activated(text, "CONDA_PREFIX names no folder", f"it is {prefix!r}")
    if active is not None and Path(active).name != Path(name).name:
        raise not_activated(text, f"the active environment is not {name}", f"CONDA_DEFAULT_ENV is {active!r}")
    deployment = deployment_by_script(text, "conda", start, activated)
    if not Path(deployment.python).is_relative_to(prefix):
        raise not_activated(text, f"python3 is not in {prefix}", f"it is {deployment.python}")
    return deployment
