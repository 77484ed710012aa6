"""The E4S export: the layout of the suite, and exit codes that report failures."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from exaworks_sdk import __version__
from exaworks_sdk.cli_export import export as command
from exaworks_sdk.export_e4s import TESTS, ExportError, export
from exaworks_sdk.paths import places
from exaworks_sdk.release import load
from tests.needs import need
from tests.spack_repo.recipes import read

RECIPES = Path(__file__).resolve().parents[2] / "spack_repo" / "exaworks"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Return a test suite whose setup.sh loads every package, with a folder for programs of the test on PATH."""
    (tmp_path / "setup.sh").write_text(
        "spackLoadUniqueNoX() { SPACK_LOAD_RESULT=${LOADS:-0}; export SPACK_LOAD_RESULT; }\n"
    )
    export(load(), RECIPES, tmp_path)
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(suite: Path, name: str, text: str) -> None:
    path = suite / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(suite: Path, test: str, script: str = "run.sh", **environ: str) -> int:
    folder = suite / "validation_tests" / test
    path = f"{suite / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [f"./{script}"], cwd=folder, env={**os.environ, "PATH": path, **environ}, capture_output=True, check=False
    )
    return done.returncode


def test_every_test_has_its_files_and_the_four_scripts_of_the_suite(suite: Path) -> None:
    for test in TESTS:
        folder = suite / "validation_tests" / f"exaworks-{test.package}"
        assert {path.name for path in folder.iterdir()} == {
            "setup.sh", "compile.sh", "run.sh", "clean.sh", *(Path(name).name for name in test.files)
        }  # fmt: skip
        for script in folder.glob("*.sh"):
            assert os.access(script, os.X_OK)
            assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_every_package_of_the_repository_has_a_test() -> None:
    folders = {path.parent.name for path in RECIPES.glob("packages/*/package.py")}
    assert {test.package.replace("-", "_") for test in TESTS} == folders
    assert [test.package for test in TESTS] == sorted(test.package for test in TESTS)


def test_every_test_asks_the_suite_for_the_version_in_the_recipe(suite: Path) -> None:
    """A name alone could load another version that is installed beside it."""
    for test in TESTS:
        asked = (suite / "validation_tests" / f"exaworks-{test.package}" / "setup.sh").read_text().split()[-1]
        name, _, wanted = asked.partition("@")
        newest = next(iter(read(name.replace("-", "_")).versions))
        assert wanted.partition("+")[0] == (__version__ if name == "py-exaworks-sdk" else newest)


def test_a_c_library_is_compiled_against_what_the_suite_loaded(suite: Path) -> None:
    root = suite / "installed"
    (root / "include").mkdir(parents=True)
    (root / "include" / "list.h").write_text(
        "struct list {int size;};\nstatic struct list one;\n"
        "static struct list* list_create(void) {return &one;}\n"
        "static void list_add(struct list* list, void* value) {if (value) list->size++;}\n"
        "static int list_size(struct list* list) {return list->size;}\n"
    )
    (root / "lib").mkdir()
    need("g++")
    subprocess.run(["cc", "-shared", "-x", "c", "-o", root / "lib" / "libexmcutils.so", "/dev/null"], check=True)
    loaded = {"EXMCUTILS_ROOT": str(root)}
    assert run(suite, "exaworks-exmcutils", "compile.sh", **loaded) == 0
    assert run(suite, "exaworks-exmcutils", **loaded) == 0
    assert run(suite, "exaworks-exmcutils", "compile.sh") != 0, "nothing was loaded"


def test_a_pair_that_fails_fails_the_test_of_the_bundle(suite: Path) -> None:
    for name in ("flux", "swift-t"):
        program(suite, name, 'echo "$@"')
    for broken in ("", "parsl_psij.py", "parsl_flux.py", "psij_swift.py", "parsl_swift.py", "radical_flux.py"):
        program(suite, "python3", f'case "$1" in */{broken or "none"}) exit 5 ;; esac; test -f "$1"')
        assert run(suite, "exaworks-exaworks") == (5 if broken else 0)
    program(suite, "flux", "exit 6")
    program(suite, "python3", 'test -f "$1"')
    assert run(suite, "exaworks-exaworks") == 6


def test_a_flux_that_runs_passes_and_one_with_other_output_fails(suite: Path) -> None:
    program(suite, "flux", "echo ran; echo ran")
    assert run(suite, "exaworks-flux-core") == 0
    program(suite, "flux", "echo ran")
    assert run(suite, "exaworks-flux-core") == 1
    program(suite, "flux", "echo ran; echo ran; exit 3")
    assert run(suite, "exaworks-flux-core") == 3


def test_flux_without_fluxion_fails_the_test_of_flux_sched(suite: Path) -> None:
    program(suite, "flux", "echo sched-simple; echo ran")
    assert run(suite, "exaworks-flux-sched") == 1
    program(suite, "flux", "echo sched-fluxion-qmanager; echo ran")
    assert run(suite, "exaworks-flux-sched") == 0


def test_a_compiler_that_fails_fails_the_compilation(suite: Path) -> None:
    program(suite, "stc", "exit 4")
    assert run(suite, "exaworks-stc", "compile.sh") == 4
    program(suite, "turbine", "for n in 1 2 3 4 5 6 7; do echo task $n ran; done")
    assert run(suite, "exaworks-stc") == 1
    program(suite, "turbine", "for n in 1 2 3 4 5 6 7 8; do echo task $n ran; done")
    assert run(suite, "exaworks-stc") == 0


def test_a_python_test_checks_the_version_of_the_release(suite: Path) -> None:
    program(suite, "python3", f'test "$*" = "../local_job.py {version("py-psij-python")}"')
    assert run(suite, "exaworks-py-psij-python") == 0


def test_a_test_receives_the_folder_of_a_file_from_another_recipe(suite: Path) -> None:
    arguments = f"../two_stages.py {version('py-radical-entk')} .."
    program(suite, "python3", f'test "$*" = "{arguments}" && test -f ../this_host.py')
    assert run(suite, "exaworks-py-radical-entk") == 0


def version(package: str) -> str:
    return next(component.version for component in load().components if component.spack == package)


def test_a_package_that_cannot_be_loaded_gives_the_exit_code_of_the_suite(suite: Path) -> None:
    assert run(suite, "exaworks-py-parsl", LOADS="215") == 215


def test_clean_removes_the_output_of_a_run(suite: Path) -> None:
    folder = suite / "validation_tests" / "exaworks-stc"
    (folder / "foreach.tic").touch()
    (folder / "output").touch()
    (folder / "scratch").mkdir()
    assert run(suite, "exaworks-stc", "clean.sh") == 0
    assert {path.name for path in folder.iterdir()} == {
        "setup.sh", "compile.sh", "run.sh", "clean.sh", "foreach.swift"
    }  # fmt: skip


def test_an_export_without_recipes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="contains no recipes"):
        export(load(), tmp_path, tmp_path / "out")


def test_the_command_writes_the_tests_and_the_stack_entry_names_every_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAWORKS_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(command, ["e4s", "--to", str(tmp_path / "suite")], obj=places())
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == len(TESTS)
    stack = CliRunner().invoke(command, ["e4s", "--stack"], obj=places()).output
    spack = load().spack
    assert spack
    assert all(f"+{name}" in stack for name in spack.on)
    assert all(f"~{name}" in stack for name in spack.off)
    assert CliRunner().invoke(command, ["e4s"], obj=places()).exit_code == 2
