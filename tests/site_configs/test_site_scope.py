"""A system's Spack scope has files and keys that Spack knows, and externals that it can use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from site_configs.cli import sites
from site_configs.load import PACKAGED
from site_configs.scope import externals, problems
from site_configs.scope_places import missing_places
from tests.needs import need

SCOPES = sorted(path for path in PACKAGED.glob("*/spack/*") if path.is_dir())
PACKAGES = """\
packages:
  all:
    providers: {mpi: [mpich]}
  mpi:
    buildable: false
  mpich:
    externals:
      - spec: mpich@4.2 %gcc@13
        prefix: /opt/mpich
"""


def scope(folder: Path, text: str = PACKAGES, name: str = "packages.yaml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def problem_lines(folder: Path) -> list[str]:
    return [line.replace(f"{folder}/", "") for line in problems(folder)]


@pytest.mark.parametrize("folder", SCOPES, ids=lambda path: f"{path.parents[1].name}-{path.name}")
def test_a_packaged_scope_has_the_three_files_and_no_problem(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} >= {"packages.yaml", "config.yaml", "concretizer.yaml"}
    assert problems(folder) == []
    assert any(
        external.spec.startswith(("cray-mpich@", "mpich@", "mvapich2@", "openmpi@")) for external in externals(folder)
    )


def test_externals_are_read_with_their_line(tmp_path: Path) -> None:
    (external,) = externals(scope(tmp_path / "s"))
    assert (external.line, external.spec, external.prefix) == (8, "mpich@4.2 %gcc@13", "/opt/mpich")
    assert external.key == "packages.mpich.externals[0]"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("buildable", "bildable", "packages.yaml:5: packages.mpi.bildable: unknown key; did you mean 'buildable'?"),
        ("false", "'no'", "packages.yaml:5: packages.mpi.buildable: expected true or false, got 'no'"),
        ("mpich@4.2", "mpich", "packages.yaml:8: packages.mpich.externals[0].spec: 'mpich %gcc@13' has no version"),
        ("- spec: mpich", "- spec: openmpi", "'openmpi@4.2 %gcc@13' is not a spec of the package mpich"),
        ("prefix: /opt", "prefix: opt", "expected an absolute path, got 'opt/mpich'"),
        ("        prefix: /opt/mpich\n", "", "needs a location: give a prefix, or the modules that provide it"),
        ("prefix:", "prefx:", "unknown key; did you mean 'prefix'?"),
        ("packages:\n", "package:\n", "packages.yaml must have exactly one key at the top level, 'packages'"),
        ("all:\n    providers: {mpi: [mpich]}", "all: mpich", "packages.all: expected keys and values"),
        ("  mpich:\n    externals", "  all:\n    externals", "given twice"),
        ("mpich@4.2 %gcc@13", "[", "not YAML"),
    ],
)
def test_a_mistake_in_a_scope_is_reported(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert PACKAGES.count(old) >= 1
    assert any(message in line for line in problem_lines(scope(tmp_path / "s", PACKAGES.replace(old, new, 1))))


def test_a_key_with_two_colons_is_known(tmp_path: Path) -> None:
    assert problem_lines(scope(tmp_path / "s", PACKAGES.replace("packages:\n", "packages::\n"))) == []
    assert problem_lines(scope(tmp_path / "s", "config:\n  build_stage::\n    - /tmp\n", "config.yaml")) == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("package.yaml", "packages: {}\n", "did you mean 'packages.yaml'?"),
        ("config.yml", "config: {}\n", "did you mean 'config.yaml'?"),
        ("config.yaml", "config: {build_job: 3}\n", "config.build_job: unknown key; did you mean 'build_jobs'?"),
        ("concretizer.yaml", "concretizer: {unfy: true}\n", "did you mean 'unify'?"),
        ("config.yaml", "config: 3\n", "config: expected keys and values"),
    ],
)
def test_a_file_that_spack_would_ignore_is_reported(tmp_path: Path, name: str, text: str, message: str) -> None:
    assert any(message in line for line in problem_lines(scope(tmp_path / "s", text, name)))


def test_sites_check_exits_2_if_the_scope_of_a_correct_file_is_wrong(tmp_path: Path) -> None:
    scope(tmp_path / "spack", PACKAGES.replace("buildable", "bildable"))
    file = tmp_path / "box.yaml"
    file.write_text("system: lab/box\ndescription: x\nspack_scope: spack\n")
    result = CliRunner().invoke(sites, ["check", str(file)])
    assert result.exit_code == 2
    assert "did you mean 'buildable'?" in result.output


def test_an_empty_scope_is_reported(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    message = "the folder has no Spack configuration file, such as packages.yaml"
    assert problems(tmp_path / "s") == [f"{tmp_path / 's'}: {message}"]


@pytest.mark.slow
@pytest.mark.parametrize("folder", SCOPES, ids=lambda path: f"{path.parents[1].name}-{path.name}")
def test_the_real_spack_reads_a_packaged_scope(tmp_path: Path, folder: Path) -> None:
    spack = need("spack")
    places = {f"SPACK_USER_{name}_PATH": str(tmp_path / name) for name in ("CONFIG", "CACHE")}
    site = {"SCRATCH": "/s", "MEMBERWORK": "/m", "EXAWORKS_ACCOUNT": "a", "SPACK_SYSTEM_CONFIG_PATH": str(tmp_path)}
    for section in ("packages", "config", "concretizer"):
        argv = [spack, "-C", str(folder), "config", "get", section]
        done = subprocess.run(argv, env={**os.environ, **places, **site}, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("value", "reasons"),
    [
        ("$PLACE/spack", []),
        ("${PLACE}/$USER/spack", []),
        ("$tempdir/$user/$SPACK_INSTANCE_ID", []),
        ("~/spack", []),
        ("/tmp/no/such/folder", []),
        ("$ABSENT/spack", ["the variable ABSENT is not set"]),
        ("$PLACE/${ABSENT}/$EMPTY", ["the variable ABSENT is not set", "the variable EMPTY is not set"]),
        ("$NOWHERE/spack", ["the folder /nowhere/x does not exist on this machine"]),
        ("/nowhere/spack", ["the folder /nowhere does not exist on this machine"]),
        ("/nowhere/x/$user/spack", ["the folder /nowhere/x does not exist on this machine"]),
        (
            "/nowhere/x/$ABSENT",
            ["the variable ABSENT is not set", "the folder /nowhere/x does not exist on this machine"],
        ),
    ],
)
def test_a_folder_or_variable_that_this_machine_does_not_have_is_reported(
    tmp_path: Path, value: str, reasons: list[str]
) -> None:
    environ = {"PLACE": str(tmp_path), "EMPTY": "", "NOWHERE": "/nowhere/x"}
    folder = scope(tmp_path / "s", f"config:\n  install_tree:\n    root: {value}\n", "config.yaml")
    missing = missing_places(folder, environ)
    assert [lack.reason for lack in missing] == reasons
    where = f"{folder}/config.yaml:3: config.install_tree.root: {value}: "
    assert [str(lack) for lack in missing] == [where + reason for reason in reasons]


def test_variables_in_prefixes_are_checked_and_those_in_other_texts_are_not(tmp_path: Path) -> None:
    text = PACKAGES.replace("/opt/mpich", "$MPICH_DIR").replace("@4.2", "@4.2 cflags=$FLAGS")
    assert [lack.variable for lack in missing_places(scope(tmp_path / "s", text), {})] == ["MPICH_DIR"]


CREATED = {
    "bootstrap": "bootstrap:\n  root: VALUE\n",
    "concretizer": "concretizer:\n  concretization_cache:\n    url: VALUE\n",
    "config": "config:\n  install_tree: VALUE\n",
    "config ": "config:\n  install_tree:\n    root: VALUE\n",
    "config  ": "config:\n  build_stage::\n    - VALUE\n",
    "config   ": "config:\n  misc_cache: VALUE\n",
    "modules": "modules:\n  default:\n    roots:\n      lmod: VALUE\n",
    "modules ": "modules:\n  site::\n    roots::\n      tcl: VALUE\n",
    "repos": "repos:\n  builtin:\n    git: https://example.org/packages.git\n    destination: VALUE\n",
}


@pytest.mark.parametrize("section", CREATED)
def test_every_folder_that_spack_would_create_is_checked(tmp_path: Path, section: str) -> None:
    def reasons(value: str) -> list[str]:
        folder = scope(tmp_path / "s", CREATED[section].replace("VALUE", value), f"{section.strip()}.yaml")
        return [lack.reason for lack in missing_places(folder, {"PLACE": str(tmp_path)})]

    assert reasons("/nowhere/x/$user/spack") == ["the folder /nowhere/x does not exist on this machine"]
    assert reasons("$ABSENT/spack") == ["the variable ABSENT is not set"]
    assert reasons("$PLACE/spack") == reasons("$spack/spack") == reasons("$user_cache_path/spack") == []


def test_texts_of_modules_and_of_the_concretizer_that_are_no_paths_are_not_checked(tmp_path: Path) -> None:
    text = (
        "modules:\n  default:\n    enable: [lmod]\n    lmod:\n      projections: {all: '/nowhere/{name}'}\n"
        "      all:\n        environment: {set: {HERE: $ABSENT}}\n"
    )
    assert missing_places(scope(tmp_path / "s", text, "modules.yaml"), {}) == []
    concretizer = "concretizer:\n  reuse: $ABSENT\n"
    assert missing_places(scope(tmp_path / "s", concretizer, "concretizer.yaml"), {}) == []


@pytest.mark.parametrize("folder", SCOPES, ids=lambda path: f"{path.parents[1].name}-{path.name}")
def test_no_packaged_scope_fits_a_machine_without_its_variables_and_file_systems(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda path: False)  # whatever this machine has
    monkeypatch.setattr(Path, "is_file", lambda path: path.is_relative_to(PACKAGED) and path.exists())
    lacking = {lack.file.name for lack in missing_places(folder, {})}
    assert lacking == {"config.yaml", "modules.yaml"}
