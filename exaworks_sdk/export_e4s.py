"""Write the stand-alone checks of our components as validation tests of the E4S test suite, one folder a package.

The driver of the suite enters every folder with a ``run.sh``. It sources ``setup.sh``, which loads the Spack package
and sets ``SPACK_LOAD_RESULT``, then runs ``clean.sh``, ``compile.sh`` and ``run.sh``, and judges the exit codes. Every
script here stops at the first error, so that its exit code reports the failure.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from exaworks_sdk.errors import ExaworksError
from exaworks_sdk.release import Release


class ExportError(ExaworksError):
    """The recipes are absent, or the folder to write to is not writable."""


@dataclass(frozen=True)
class Test:
    """The validation test of one package. ``run`` and ``compile`` are lines of bash, run in the folder of the test.

    ``files`` are paths relative to the ``test`` folder of the package's recipe.
    """

    package: str
    run: str
    files: tuple[str, ...] = ()
    compile: str = ""


PYTHON = "mkdir -p scratch && cd scratch && python3 ../{script} {version}"

TESTS = (
    Test(
        "flux-core",
        'output=$(flux start flux run -n 2 echo ran)\n[ "$output" = "$(printf \'ran\\nran\')" ]',
    ),
    Test(
        "flux-sched",
        "output=$(flux start sh -c 'flux module list && flux run echo ran')\n"
        'case $output in *sched-fluxion-qmanager*ran) ;; *) echo "Fluxion is not loaded" >&2; exit 1 ;; esac',
    ),
    Test("py-parsl", PYTHON, ("htex.py",)),
    Test("py-psij-python", PYTHON, ("local_job.py",)),
    Test("py-radical-entk", f"{PYTHON} ..", ("two_stages.py", "../../py_radical_pilot/test/this_host.py")),
    Test("py-radical-pilot", PYTHON, ("two_tasks.py", "this_host.py")),
    Test(
        "stc",
        "turbine -n 2 foreach.tic > output\n[ \"$(grep -c '^task [1-8] ran$' output)\" = 8 ]",
        ("foreach.swift",),
        "stc foreach.swift foreach.tic",
    ),
    Test("turbine", "turbine -n 2 ranks.tcl | grep -x turbine-ran", ("ranks.tcl",)),
)

SETUP = """\
#!/bin/bash
# Sourced by the driver and by the other scripts in this folder. Loads the package, also if it is installed only as a
# dependency of the bundle; SPACK_LOAD_RESULT is not 0 if the package cannot be loaded.
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
rm -rf scratch {files}
"""


def export(release: Release, recipes: Path, folder: Path) -> list[Path]:
    """Write the tests below ``folder/validation_tests`` and return their folders; an existing folder is replaced.

    Raises:
        ExportError: the recipes are absent, or the folder cannot be written.
    """
    if not (recipes / "repo.yaml").is_file():
        raise ExportError(
            f"{recipes} contains no recipes, from which the tests are created. Run the command from a checkout."
        )
    versions = {component.spack: component.version for component in release.components}
    try:
        return [_write(test, versions[test.package], recipes, folder / "validation_tests") for test in TESTS]
    except OSError as error:
        raise ExportError(f"cannot write {error.filename}: {error.strerror}. Choose another folder.") from error


def _write(test: Test, version: str, recipes: Path, folder: Path) -> Path:
    target = folder / f"exaworks-{test.package}"
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    for name in test.files:
        shutil.copyfile(recipes / "packages" / test.package.replace("-", "_") / "test" / name, target / Path(name).name)
    script = test.files[0] if test.files else ""
    run = test.run.format(script=script, version=shlex.quote(version)) if test.run.startswith(PYTHON) else test.run
    outputs = "output turbine* *.tic task-*.txt"
    scripts = {
        "setup.sh": SETUP.format(package=test.package),
        "compile.sh": SCRIPT.format(lines=test.compile or "echo 'nothing to compile'"),
        "run.sh": SCRIPT.format(lines=run),
        "clean.sh": CLEAN.format(files=outputs),
    }
    for name, text in scripts.items():
        (target / name).write_text(text)
        (target / name).chmod(0o755)
    return target


def stack_entry(release: Release) -> str:
    """Return the entry of the bundle for an E4S stack file."""
    from exaworks_sdk.spack_environment import bundle_spec

    return f"spack:\n  specs:\n  - {bundle_spec(release)}\n"
