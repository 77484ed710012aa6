"""``spack:ENV-or-PREFIX``: a Spack environment, by name or folder, or a view or installation prefix."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from sdk_tests.deployments.activation import OTHER_PYTHONS, deployment_by_script
from sdk_tests.deployments.deployment import Deployment


def resolve(name: str, environ: Mapping[str, str]) -> Deployment:
    """Return the deployment of a Spack environment, view or prefix."""
    return deployment_by_script(f"spack:{name}", "spack", _script(name), environ, dropped=OTHER_PYTHONS)


def _script(name: str) -> str:
    """A view or install prefix is put on PATH; anything else is a Spack environment to activate."""
    if (Path(name).expanduser() / "bin").is_dir():
        prefix = Path(name).expanduser().absolute()
        sites = sorted(str(site) for site in prefix.glob("lib*/python3*/site-packages"))
        path = f'export PATH={shlex.quote(str(prefix / "bin"))}:"$PATH"'
        return path + (f"\nexport PYTHONPATH={shlex.quote(':'.join(sites))}" if sites else "")
    folder = Path(name).expanduser().absolute()
    own = folder.parent / "spack" / "bin" / "spack"
    if (folder / "spack.yaml").is_file() and own.is_file():  # as `exaworks install` lays them out
        return f'eval "$({shlex.quote(str(own))} env activate --sh {shlex.quote(str(folder))})"'
    return (
        'spack_bin=$(command -v spack || echo "${SPACK_ROOT:-/nonexistent}/bin/spack")\n'
        'if [ ! -x "$spack_bin" ]; then echo "no spack on PATH and SPACK_ROOT does not name one" >&2; exit 1; fi\n'
        f'eval "$("$spack_bin" env activate --sh {shlex.quote(name)})"'
    )
