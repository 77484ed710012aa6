"""A real Spack audits, adds and concretizes the recipes, without a network, with packages of Debian as externals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from exaworks_sdk.release import Release, load
from exaworks_sdk.spack_environment import environment_text
from site_configs.scope import externals
from tests.needs import need
from tests.spack_repo.recipes import FOLDERS, REPOSITORY, ROOT, admits, read

pytestmark = pytest.mark.needs("spack")

DEBIAN = ROOT / "spack_repo" / "scopes" / "debian12"
SCOPES = sorted(path.parent for path in ROOT.glob("site_configs/*/spack/*/packages.yaml"))
NAMES = [folder.replace("_", "-") for folder in FOLDERS]


class Spack:
    """A Spack with its own configuration: this project's repository first, then the builtin one of the user's Spack."""

    def __init__(self, program: str, home: Path) -> None:
        self.program, self.home = program, home
        builtin = self._query("-c", "import spack.repo; print(spack.repo.PATH.get_repo('builtin').root)")
        for folder in ("user", "system", "cache"):
            (home / folder).mkdir()
        self.environ = {
            **os.environ,
            "SPACK_USER_CONFIG_PATH": str(home / "user"),
            "SPACK_SYSTEM_CONFIG_PATH": str(home / "system"),
            "SPACK_USER_CACHE_PATH": str(home / "cache"),
        }
        self.environ.pop("SPACK_ENV", None)
        self.write(home / "user" / "repos.yaml", {"repos": {"exaworks": str(REPOSITORY), "builtin": builtin}})
        self.write(
            home / "user" / "config.yaml",
            {"config": {"misc_cache": str(home / "misc"), "install_tree": {"root": str(home / "installed")}}},
        )

    def _query(self, *arguments: str) -> str:
        done = subprocess.run([self.program, "python", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{self.program} does not run here: {done.stderr.strip()[-400:]}")
        return done.stdout.strip().splitlines()[-1]

    @staticmethod
    def write(path: Path, document: object) -> None:
        with path.open("w") as out:
            YAML().dump(document, out)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.program, "--color=never", *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False, timeout=1500)

    def concretize(self, folder: Path, text: str, *scopes: Path) -> dict[str, dict[str, object]]:
        """Concretize an environment and return its nodes by name."""
        document = YAML(typ="safe").load(text)
        document["spack"]["include"] = [str(scope) for scope in scopes]
        # Override the folders in a site's scope: its file systems and variables do not exist on this machine.
        config = document["spack"].setdefault("config", {})
        config.setdefault("install_tree", {})["root"] = str(self.home / "installed")
        config["build_stage:"] = [str(self.home / "stage")]
        folder.mkdir()
        self.write(folder / "spack.yaml", document)
        done = self.run("-e", str(folder), "concretize")
        assert done.returncode == 0, done.stderr[-2000:]
        lock = json.loads((folder / "spack.lock").read_text())
        return {node["name"]: node for node in lock["concrete_specs"].values()}


@pytest.fixture(scope="module")
def spack(tmp_path_factory: pytest.TempPathFactory) -> Spack:
    return Spack(need("spack"), tmp_path_factory.mktemp("spack"))


def test_spack_audit_finds_nothing_in_the_recipes(spack: Spack) -> None:
    done = spack.run("audit", "packages", *NAMES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_with_the_recipes_all_dependencies_in_builtin_can_be_satisfied(spack: Spack) -> None:
    output = spack.run("audit", "packages").stdout
    assert "PKG-DIRECTIVES: passed" in output, output  # this group reports dependencies that cannot be satisfied
    about_recipes = [line for line in output.splitlines() if any(f" {name} " in line for name in NAMES)]
    assert about_recipes == []


@pytest.mark.slow
def test_the_repository_can_be_added_from_a_git_url(spack: Spack, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("spack-repo-index.yaml", "spack_repo"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, source / name)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-C", str(source)]
    for step in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "recipes"]):
        subprocess.run([*git, *step], check=True)
    added = spack.run("repo", "add", "--name", "exaworks_of_git", source.as_uri(), str(tmp_path / "clone"))
    try:
        assert added.returncode == 0, added.stderr
        assert (tmp_path / "clone" / "spack_repo" / "exaworks" / "repo.yaml").is_file()
    finally:
        spack.run("repo", "remove", "exaworks_of_git")


def is_the_release(nodes: dict[str, dict[str, object]], release: Release) -> None:
    """Assert that a DAG has the versions and variants of the release, from this repository, and no Rust."""
    for component in release.components:
        assert nodes[component.spack]["version"] == component.version, component.name
        assert nodes[component.spack]["namespace"] == "exaworks"
        assert "external" not in nodes[component.spack]
    assert not {"rust", "rust-bootstrap", "py-rpds-py", "py-exaworks-sdk"} & nodes.keys()
    assert release.spack
    assert nodes["exaworks"]["version"] == release.name
    parameters = nodes["exaworks"]["parameters"]
    assert isinstance(parameters, dict)
    assert [parameters[name] for name in release.spack.on] == [True] * len(release.spack.on)
    assert [parameters[name] for name in release.spack.off] == [False] * len(release.spack.off)


@pytest.mark.slow
def test_the_release_concretizes_to_its_versions_without_rust(spack: Spack, tmp_path: Path) -> None:
    is_the_release(spack.concretize(tmp_path / "release", environment_text(load()), DEBIAN), load())


@pytest.mark.slow
def test_the_variants_that_are_off_can_be_on_together_with_all_others(spack: Spack, tmp_path: Path) -> None:
    release = load()
    assert release.spack
    text = environment_text(release, changed=dict.fromkeys(release.spack.off, True))
    nodes = spack.concretize(tmp_path / "all", text, DEBIAN)
    parameters = nodes["exaworks"]["parameters"]
    assert isinstance(parameters, dict)
    assert all(parameters[name] for name in (*release.spack.on, *release.spack.off))
    assert {"py-maestrowf", "flux-core", "py-parsl", "py-radical-pilot", "stc"} <= nodes.keys()


@pytest.mark.slow
def test_the_error_for_an_impossible_combination_has_advice(spack: Spack) -> None:
    done = spack.run("--config-scope", str(DEBIAN), "spec", "exaworks@2026.11 ~psij +radical")
    assert done.returncode != 0
    assert "leave +psij on, or add ~radical" in done.stdout + done.stderr


@pytest.mark.slow
def test_the_harness_concretizes_as_a_separate_root(spack: Spack, tmp_path: Path) -> None:
    text = "spack:\n  specs: [py-exaworks-sdk]\n  view: false\n"
    nodes = spack.concretize(tmp_path / "harness", text, DEBIAN)
    assert not {"rust", "exaworks", "py-parsl", "py-radical-pilot", "flux-core"} & nodes.keys()
    assert admits("py-msgspec@0.19:", str(nodes["py-msgspec"]["version"]))


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES, ids=lambda path: f"{path.parents[1].name}/{path.name}")
def test_the_release_concretizes_with_a_site_s_configuration(spack: Spack, tmp_path: Path, scope: Path) -> None:
    before = {*scope.rglob("*"), *Path("/").iterdir()}
    nodes = spack.concretize(tmp_path / "site", environment_text(load(), scope=scope), scope)
    assert {*scope.rglob("*"), *Path("/").iterdir()} == before, (
        "Spack has created something in the scope or at the root"
    )
    is_the_release(nodes, load())
    declared = externals(scope)
    assert declared
    for external in declared:
        used = nodes.get(external.spec.split("@")[0])
        if used is not None and used["name"] not in (
            "flux-core",
            "gcc",
        ):  # the release's Flux is newer; there may be several gcc
            assert "external" in used, external.spec


def test_spack_lists_every_version_in_the_recipes(spack: Spack) -> None:
    for folder in ("py_parsl", "flux_core"):
        done = spack.run("versions", "--safe", folder.replace("_", "-"))
        assert set(read(folder).versions) <= set(done.stdout.split())
