"""Write the stand-alone checks of our packages as validation tests of the E4S test suite, one folder a package.

The driver of the suite enters every folder with a ``run.sh``. It sources ``setup.sh``, which loads the Spack package
and sets ``SPACK_LOAD_RESULT``, then runs ``clean.sh``, ``compile.sh`` and ``run.sh``, and judges the exit codes. Every
script here stops at the first error, so that its exit code reports the failure.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from exaworks_sdk import __version__
from exaworks_sdk.errors import ExaworksError
from exaworks_sdk.release import Release


class ExportError(ExaworksError):
    """The recipes are absent, or the folder to write to is not writable."""


@dataclass(frozen=True)
class Test:
    """The validation test of one package. ``run`` and ``compile`` are lines of bash, run in the folder of the test.

    ``files`` are paths relative to the ``test`` folder of the package's recipe. ``wanted`` is what follows the name in
    the spec that the suite looks for, by default the version. ``{version}`` stands for that version in all of them.
    """

    package: str
    run: str
    files: tuple[str, ...] = ()
    compile: str = ""
    wanted: str = "@{version}"


PYTHON = "mkdir -p scratch && cd scratch && python3 ../{script} {version}"
THIS_HOST = "../../py_radical_pilot/test/this_host.py"
LINK = (
    '-I"${{{0}_ROOT}}/include" -L"${{{0}_LIB_PATH:-${{{0}_ROOT}}/lib}}" '
    '-Wl,-rpath,"${{{0}_LIB_PATH:-${{{0}_ROOT}}/lib}}"'
)
"""Options of a compiler for one package; the suite sets NAME_ROOT and NAME_LIB_PATH of what it loads."""
RANKS = '"${TEST_RUN_CMD:-mpiexec}" "${TEST_RUN_PROCFLAG:--n}" 2'
PAIRS = """\
pair() (mkdir -p "scratch/$1" && cd "scratch/$1" && "${@:2}")
pair parsl-psij python3 ../../parsl_psij.py
pair psij-flux flux start python3 ../../psij_flux.py
pair parsl-flux python3 ../../parsl_flux.py "$(command -v flux)"
pair psij-swift python3 ../../psij_swift.py "$(command -v swift-t)" ../../hello.swift
pair parsl-swift python3 ../../parsl_swift.py "$(command -v swift-t)" ../../hello.swift
pair radical-flux python3 ../../radical_flux.py ../.."""
"""What the bundle's own tests run, each in a folder of its own."""


TESTS = (
    Test(
        "adlbx",
        f"{RANKS} ./put_get | grep -x 'got 17'",
        ("put_get.c",),
        f'"${{TEST_CC_MPI:-mpicc}}" put_get.c {LINK.format("ADLBX")} {LINK.format("EXMCUTILS")} '
        "-ladlb -lexmcutils -o put_get",
    ),
    Test(
        "exaworks",
        PAIRS,
        (
            *("parsl_psij.py", "psij_flux.py", "parsl_flux.py", "psij_swift.py", "parsl_swift.py", "radical_flux.py"),
            *("hello.swift", THIS_HOST),
        ),
        wanted="@{version}+flux+parsl+psij+radical+swift",
    ),
    Test(
        "exmcutils",
        "./list | grep -x 3",
        ("list.c",),
        f'"${{TEST_CC:-cc}}" list.c {LINK.format("EXMCUTILS")} -lexmcutils -o list',
    ),
    Test(
        "flux-core",
        'output=$(flux start flux run -n 2 echo ran)\n[ "$output" = "$(printf \'ran\\nran\')" ]',
    ),
    Test(
        "flux-sched",
        "output=$(flux start sh -c 'flux module list && flux run echo ran')\n"
        'case $output in *sched-fluxion-qmanager*ran) ;; *) echo "Fluxion is not loaded" >&2; exit 1 ;; esac',
    ),
    Test("py-exaworks-sdk", 'EXAWORKS_HOME="$PWD/scratch" exaworks --version | grep -wF {version}'),
    Test("py-msgspec", PYTHON, ("conversion.py",)),
    Test("py-parsl", PYTHON, ("htex.py",)),
    Test("py-psij-python", PYTHON, ("local_job.py",)),
    Test("py-radical-entk", f"{PYTHON} ..", ("two_stages.py", THIS_HOST)),
    Test("py-radical-gtod", f'{PYTHON} "$(command -v radical-gtod)"', ("clock.py",)),
    Test("py-radical-pilot", PYTHON, ("two_tasks.py", "this_host.py")),
    Test("py-radical-saga", PYTHON, ("fork_job.py",)),
    Test("py-radical-utils", PYTHON, ("queue_order.py",)),
    Test("py-rc-process", PYTHON, ("child.py",)),
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
# Sourced by the driver and by the other scripts in this folder. Loads the package at the version of the release, also
# if it is installed only as a dependency of the bundle; SPACK_LOAD_RESULT is not 0 if there is no such package.
. ../../setup.sh
spackLoadUniqueNoX {spec}
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
    versions |= {"exaworks": release.name, "py-exaworks-sdk": __version__}
    target = folder / "validation_tests"
    try:
        return [
            _write(test, versions.get(test.package) or _newest(recipes, test.package), recipes, target)
            for test in TESTS
        ]
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
    run = test.run.replace("{script}", script).replace("{version}", shlex.quote(version))
    outputs = "output list put_get turbine* *.tic task-*.txt"
    scripts = {
        "setup.sh": SETUP.format(spec=f"{test.package}{test.wanted.replace('{version}', version)}"),
        "compile.sh": SCRIPT.format(lines=test.compile or "echo 'nothing to compile'"),
        "run.sh": SCRIPT.format(lines=run),
        "clean.sh": CLEAN.format(files=outputs),
    }
    for name, text in scripts.items():
        (target / name).write_text(text)
        (target / name).chmod(0o755)
    return target


def _newest(recipes: Path, package: str) -> str:
    """Return the version of a package that is no component: the first in its recipe."""
    text = (recipes / "packages" / package.replace("-", "_") / "package.py").read_text()
    versions: list[str] = re.findall(r'^    version\(\s*"([^"]+)"', text, re.MULTILINE)
    return versions[0]


def stack_entry(release: Release) -> str:
    """Return the entry of the bundle for an E4S stack file."""
    from exaworks_sdk.spack.environment import bundle_spec

    return f"spack:\n  specs:\n  - {bundle_spec(release)}\n"
