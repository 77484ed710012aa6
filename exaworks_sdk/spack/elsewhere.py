"""A program for ``spack python``: concretize an environment for a machine that is described, and not for this one.

It also writes the licence that the recipe of each package declares, by DAG hash, into ``licences.json``.

    spack python elsewhere.py ENVIRONMENT OS TARGET GLIBC

Spack asks the machine that it runs on for its operating system, its processor, and, by running the compilers, for the
version of the C library. Here it gets the values of the described machine instead; everything else is Spack's own. No
other module of this project is imported, since this file runs in Spack's Python.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def describe(os_name: str, target: str, glibc: str) -> None:
    """Replace what Spack finds out about this machine."""
    libraries, platforms, specs = map(import_module, ("spack.compilers.libraries", "spack.platforms", "spack.spec"))
    try:
        cpu = import_module("spack.vendor.archspec.cpu")
    except ImportError:  # of Spack 1.0
        cpu = import_module("archspec.cpu")
    if target not in cpu.TARGETS:
        sys.exit(f"Error: Spack knows no target {target}")
    cpu.host = lambda: cpu.TARGETS[target]  # type: ignore[attr-defined]
    platform = platforms.host()
    system = platform.default_operating_system()
    system.name, _, system.version = os_name, "", ""
    platform.operating_sys.clear()
    platform.add_operating_system(os_name, system)
    platform.default, platform.default_os = target, os_name
    libc = specs.Spec(f"glibc@={glibc}")
    libc.external_path = "/usr"
    detector = libraries.CompilerPropertyDetector
    detector.default_libc = lambda self: libc.copy()
    detector.compiler_verbose_output = lambda self: ""


def concretize(folder: str) -> None:
    """Concretize an environment and write its lock."""
    environments = import_module("spack.environment")
    environment: Any = environments.Environment(folder)
    environments.activate(environment)
    with environment.write_transaction():
        environment.concretize(force=True)
        environment.write(regenerate=False)
    licences: dict[str, str] = {}
    for spec in environment.all_specs():
        licences[spec.dag_hash()] = " AND ".join(_licences(spec))
    Path(folder, "licences.json").write_text(json.dumps(licences))


def _licences(spec: Any) -> list[str]:
    """Return the licences that a recipe declares for a package as it was concretized."""
    declared = spec.package.licenses
    return list(dict.fromkeys(licence for when, licence in declared.items() if spec.satisfies(when)))


if __name__ == "__main__":
    describe(*sys.argv[2:5])
    concretize(sys.argv[1])
