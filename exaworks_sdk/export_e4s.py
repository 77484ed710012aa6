"""Write our components' stand-alone checks as validation tests of the E4S test suite, one folder a package.

The suite's driver goes into every folder with a ``run.sh``: it sources ``setup.sh`` (which finds and loads the Spack
package and leaves its verdict in ``SPACK_LOAD_RESULT``), then runs ``clean.sh``, ``compile.sh`` and ``run.sh``, and
judges by exit codes. Every script here is strict, so that what fails is told.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from exaworks_sdk.errors import ExaworksError
from exaworks_sdk.release import Release


class ExportError(ExaworksError):
    """There is nothing to export from, or no place to write to."""


@dataclass(frozen=True)
class Test:
    """One package's validation test; ``run`` and ``compile`` are lines of bash, run in the test's folder.

    ``files`` are paths from the ``test`` folder of the package's recipe.
    """

    package: str
    run: str
    files: tuple[str, ...] = ()
    compile: str = ""


PYTHON = "mkdir -p scratch && cd scratch && python3 ../{script} {version}"

TESTS = (
    Test(
        "flux-core",
        'said=$(flux start flux run -n 2 echo ran)\n[ "$said" = "$(printf \'ran\\nran\')" ]',
    ),
    Test(
        "flux-sched",
        "said=$(flux start sh -c 'flux module list && flux run echo ran')\n"
        'case $said in *sched-fluxion-qmanager*ran) ;; *) echo "Fluxion is not loaded" >&2; exit 1 ;; esac',
    ),
    Test("py-parsl", PYTHON, ("htex.py",)),
    Test("py-psij-python", PYTHON, ("local_job.py",)),
    Test("py-radical-entk", f"{PYTHON} ..", ("two_stages.py", "../../py_radical_pilot/test/this_host.py")),
    Test("py-radical-pilot", PYTHON, ("two_tasks.py", "this_host.py")),
    Test(
        "stc",
        "turbine -n 2 foreach.tic > said\n[ \"$(grep -c '^task [1-8] ran$' said)\" = 8 ]",
        ("foreach.swift",),
        "stc foreach.swift foreach.tic",
    ),
    Test("turbine", "turbine -n 2 ranks.tcl | grep -x turbine-ran", ("ranks.tcl",)),
)

SETUP = """\
#!/bin/bash
# Sourced by the driver and by the scripts beside it: loads the package, also where it came with the bundle and was not
# asked for by name, or says in SPACK_LOAD_RESULT why not.
. ../../setup.sh
spackLoadUniqueNoX {package}
"""
SCRIPT = """\
#!/bin/bash
. ./setup.sh
[ "${{SPACK_LOAD_RESULT:-0}}" -eq 0 ] || exit "$SPACK_LOAD_RESULT"
set -euo pipefail
{lines}
"""
CLEAN = """\
#!/bin/bash
set -eu
rm -rf scratch {made}
"""


def export(release: Release, recipes: Path, folder: Path) -> list[Path]:
    """Write the tests below ``folder/validation_tests`` and return their folders; what stood in one is replaced.

    Raises:
        ExportError: the recipes are not there, or the folder cannot be written.
    """
    if not (recipes / "repo.yaml").is_file():
        raise ExportError(f"no recipes in {recipes}: the tests are made from them. Run it from a checkout.")
    versions = {component.spack: component.version for component in release.components}
    try:
        return [_write(test, versions[test.package], recipes, folder / "validation_tests") for test in TESTS]
    except OSError as error:
        raise ExportError(f"cannot write {error.filename}: {error.strerror}. Name another folder.") from error


def _write(test: Test, version: str, recipes: Path, folder: Path) -> Path:
    target = folder / f"exaworks-{test.package}"
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    for name in test.files:
        shutil.copyfile(recipes / "packages" / test.package.replace("-", "_") / "test" / name, target / Path(name).name)
    script = test.files[0] if test.files else ""
    run = test.run.format(script=script, version=shlex.quote(version)) if test.run.startswith(PYTHON) else test.run
    made = "said turbine* *.tic task-*.txt"
    scripts = {
        "setup.sh": SETUP.format(package=test.package),
        "compile.sh": SCRIPT.format(lines=test.compile or "echo 'nothing to compile'"),
        "run.sh": SCRIPT.format(lines=run),
        "clean.sh": CLEAN.format(made=made),
    }
    for name, text in scripts.items():
        (target / name).write_text(text)
        (target / name).chmod(0o755)
    return target


def stack_entry(release: Release) -> str:
    """Return the lines that the bundle takes in an E4S stack file."""
    from exaworks_sdk.spack_environment import bundle_spec

    return f"spack:\n  specs:\n  - {bundle_spec(release)}\n"
