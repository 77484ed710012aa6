"""A real Spack audits, adds and concretizes the recipes, without a network, with packages of Debian as externals."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from exaworks_sdk.release import Release, load
from exaworks_sdk.spack.environment import environment_text
from site_configs.scope import External, externals
from tests.spack_repo.real_spack import DEBIAN, Spack
from tests.spack_repo.recipes import FOLDERS, ROOT, admits, read

pytestmark = pytest.mark.needs("spack")

SCOPES = sorted(path.parent for path in ROOT.glob("site_configs/*/spack/*/packages.yaml"))
BUNDLE = "exaworks"
NAMES = [folder.replace("_", "-") for folder in FOLDERS]


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


def is_the_release(nodes: dict[str, dict[str, object]], release: Release, site: dict[str, str] | None = None) -> None:
    """Assert that a DAG has the versions and variants of the release, from this repository, and no Rust.

    ``site`` are the versions of the site's own packages, by name, which are used as they are.
    """
    for component in release.components:
        wanted = (site or {}).get(component.spack)
        assert nodes[component.spack]["version"] == (wanted or component.version), component.name
        assert nodes[component.spack]["namespace"] == "exaworks"
        assert ("external" in nodes[component.spack]) == bool(wanted), component.name
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
def test_maestro_can_be_on_together_with_all_others(spack: Spack, tmp_path: Path) -> None:
    nodes = spack.concretize(tmp_path / "all", environment_text(load(), changed={"maestro": True}), DEBIAN)
    assert {"py-maestrowf", "flux-core", "py-parsl", "py-radical-pilot", "stc"} <= nodes.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "users"), [("cuda", ["flux-core", "flux-sched", "hwloc"]), ("rocm", ["hwloc"])], ids=["cuda", "rocm"]
)
def test_gpus_are_passed_on_to_what_supports_them(spack: Spack, tmp_path: Path, variant: str, users: list[str]) -> None:
    changed = {variant: True, **dict.fromkeys(("parsl", "psij", "radical", "swift"), False)}
    nodes = spack.concretize(tmp_path / variant, environment_text(load(), changed=changed))
    for user in users:
        parameters = nodes[user]["parameters"]
        assert isinstance(parameters, dict)
        assert parameters[variant] is True, user
    assert {"cuda": "cuda", "rocm": "hip"}[variant] in nodes


@pytest.mark.slow
def test_spack_ci_generates_one_job_a_package_that_builds_once(
    spack: Spack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = YAML(typ="safe")
    document = yaml.load((ROOT / "spack_repo/ci/spack.yaml").read_text().replace("/path/to/CACHE", str(tmp_path / "c")))
    document["spack"]["specs"] = ["py-rc-process"]
    (tmp_path / "environment").mkdir()
    Spack.write(tmp_path / "environment" / "spack.yaml", document)
    (tmp_path / "spack_repo").symlink_to(ROOT / "spack_repo")
    monkeypatch.setitem(spack.environ, "CI_PROJECT_DIR", str(tmp_path))
    environment = ("--config-scope", str(DEBIAN), "-e", str(tmp_path / "environment"))
    spack.ok(*environment, "ci", "generate", "--output-file", str(tmp_path / "pipeline.yml"), cwd=tmp_path)
    jobs = yaml.load(tmp_path / "pipeline.yml")
    (job,) = (job for name, job in jobs.items() if name.startswith("py-rc-process@"))
    assert job["tags"] == ["exaworks-build"]
    assert [line for line in job["script"] if "ci rebuild" in line] == ["spack ci rebuild"]
    assert "buildcache-destination" in jobs["rebuild-index"]["script"][-1]


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
    declared = externals(scope)
    assert declared
    names = {component.spack for component in load().components}
    own = {name: version for name, version in map(name_and_version, declared) if name in names}
    accepted = {
        name: version for name, version in own.items() if all(admits(e.text, version) for e in read(BUNDLE).needs(name))
    }
    is_the_release(nodes, load(), accepted)
    for external in declared:
        used = nodes.get(external.spec.split("@")[0])
        # A Flux outside the range is not used; there may be several gcc.
        if used is not None and used["name"] not in (*(own.keys() - accepted.keys()), "gcc"):
            assert "external" in used, external.spec


def name_and_version(external: External) -> tuple[str, str]:
    name, _, rest = external.spec.partition("@")
    return name, rest.split("+")[0].split("~")[0].split()[0]


@pytest.mark.slow
def test_a_version_that_builtin_has_too_is_the_same_archive(spack: Spack) -> None:
    """A recipe may add versions; where builtin knows the checksum of one, ours is no other."""
    program = (
        "import json, spack.repo\n"
        "builtin = spack.repo.PATH.get_repo('builtin')\n"
        f"classes = [builtin.get_pkg_class(name) for name in {NAMES!r} if builtin.exists(name)]\n"
        "print(json.dumps({c.name: {str(v): d.get('sha256') for v, d in c.versions.items()} for c in classes}))"
    )
    builtin = json.loads(spack.ok("python", "-c", program).splitlines()[-1])
    ours = {folder.replace("_", "-"): read(folder).versions for folder in FOLDERS}
    compared = {
        (name, version): (options.get("sha256"), builtin[name][version])
        for name, versions in ours.items()
        for version, options in versions.items()
        if builtin.get(name, {}).get(version)
    }
    assert {("adlbx", "1.0.7"), ("exmcutils", "0.6.5")} <= compared.keys()
    assert {key: pair for key, pair in compared.items() if pair[0] != pair[1]} == {}


def test_spack_lists_every_version_in_the_recipes(spack: Spack) -> None:
    for folder in ("py_parsl", "flux_core"):
        done = spack.run("versions", "--safe", folder.replace("_", "-"))
        assert set(read(folder).versions) <= set(done.stdout.split())
