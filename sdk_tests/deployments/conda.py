"""``conda:NAME``: a conda environment, by name or folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from sdk_tests.deployments.activation import OTHER_PYTHONS, deployment_by_script
from sdk_tests.deployments.deployment import Deployment


def resolve(name: str, environ: Mapping[str, str]) -> Deployment:
    """Return the deployment that ``conda activate NAME`` gives."""
    return deployment_by_script(f"conda:{name}", "conda", _script(name), environ, dropped=OTHER_PYTHONS)


def _script(name: str) -> str:
    return (
        'conda_bin=$(command -v conda || echo "${CONDA_EXE:-}")\n'
        'if [ -z "$conda_bin" ]; then echo "no conda on PATH" >&2; exit 1; fi\n'
        f'eval "$("$conda_bin" shell.bash hook)" && conda activate {shlex.quote(name)} || exit 1'
    )
