"""The committed definitions are generated from the release manifest, and keep the rules for images."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from containers.bases import FAMILIES
from containers.catalogue import IMAGES, image
from containers.errors import ImagesError, NoImageError
from containers.model import Copy
from containers.render import FOLDER, all_files, compose, containerfile, definition, outdated, shell, write
from exaworks_sdk.release import load
from site_configs.load import load_file
from tests.needs import need

ROOT = Path(__file__).resolve().parents[2]
RELEASE = load()
ALL = [(name, family) for name in IMAGES for family in FAMILIES]


def text(name: str, family: str = "debian-12") -> str:
    return (ROOT / FOLDER / name / f"Containerfile.{family}").read_text()


def last_stage(name: str, family: str) -> str:
    return text(name, family).rpartition("\nFROM ")[2]


def test_the_committed_files_are_current() -> None:
    assert outdated(all_files(RELEASE), ROOT) == []


def test_a_changed_and_an_obsolete_file_are_reported_and_corrected(tmp_path: Path) -> None:
    files = all_files(RELEASE)
    assert write(files, tmp_path) == list(files)
    changed = tmp_path / FOLDER / "sdk-slim" / "Containerfile.debian-12"
    changed.write_text(changed.read_text() + "USER root\n")
    (tmp_path / FOLDER / "collector" / "old.def").write_text("x")
    old = [f"{FOLDER}/sdk-slim/Containerfile.debian-12", f"{FOLDER}/collector/old.def"]
    assert outdated(files, tmp_path) == old == write(files, tmp_path)
    assert outdated(files, tmp_path) == []


@pytest.mark.parametrize("name", IMAGES)
def test_the_versions_in_the_labels_are_those_of_the_release(name: str) -> None:
    labels = dict(re.findall(r"org\.exaworks\.component\.([\w.-]+)=\"([^\"]+)\"", text(name)))
    versions = {component.name: component.version for component in RELEASE.components}
    assert labels == {key: versions[key] for key in labels}
    with_flux = {c.name for c in RELEASE.components if c.pypi or c.name == "flux"}
    wanted = {"sdk": set(versions), "collector": set(), "testbed-flux": with_flux, "tutorials": with_flux}
    assert set(labels) == wanted.get(name, {c.name for c in RELEASE.components if c.pypi})


@pytest.mark.parametrize(("name", "family"), ALL)
def test_the_last_stage_has_no_build_tools(name: str, family: str) -> None:
    tools = {p for key in ("compiler", "spack-build", "flux-build") for p in FAMILIES[family].packages[key]}
    kept = ("python", "processes", "slurm", "flux-run", "spack-run")
    runtime = {p for key in kept for p in FAMILIES[family].packages[key]}
    lines = re.findall(r"^ +(?:apt-get|microdnf) install ([^;]+)", last_stage(name, family), re.MULTILINE)
    packages = {word for line in lines for word in line.split() if not word.startswith("-")} - {"epel-release"}
    assert packages
    assert packages <= runtime
    assert not packages & (tools - runtime)
    assert "pip install" not in last_stage(name, family)


@pytest.mark.parametrize(("name", "family"), ALL)
def test_an_image_has_an_ordinary_user_a_health_check_labels_and_a_bill_of_materials(name: str, family: str) -> None:
    lines = last_stage(name, family).splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER 1000:1000"]
    assert sum(line.startswith("HEALTHCHECK") for line in lines) == 1
    for label in ("version", "revision", "title", "base.name", "licenses"):
        assert any(f"org.opencontainers.image.{label}=" in line for line in lines), label
    assert any("sbom.py" in line and "sbom.cdx.json" in line for line in lines)
    entrypoint = next(line for line in lines if line.startswith("ENTRYPOINT"))
    assert json.loads(entrypoint.partition(" ")[2])[0] in ("exaworks", "slurm-role", "flux-role")


@pytest.mark.parametrize(("name", "family"), ALL)
def test_packages_from_pip_are_locked_by_hashes(name: str, family: str) -> None:
    installs = re.findall(r"pip install [^;]*", text(name, family))
    assert installs
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)


def test_the_build_tools_come_from_the_lock_with_their_hashes(tmp_path: Path) -> None:
    command = re.search(r"^    (sed -n .*?) >> ", text("sdk-slim"), re.MULTILINE)
    assert command
    script = command[1].replace("/src/", "./")
    block = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.match(r"setuptools==[\d.]+ \\\n(    --hash=sha256:\w{64} ?\\?\n)+\Z", block)


@pytest.mark.needs("shellcheck")
def test_shellcheck_accepts_every_command_of_every_image() -> None:
    for name, family in ALL:
        for stage in image(name, RELEASE, FAMILIES[family]).stages:
            steps = [step for step in stage.steps if not isinstance(step, Copy)]
            script = "\n".join(["set -eu", *(line for step in steps for line in shell(step, FAMILIES[family]))])
            argv = [need("shellcheck"), "--shell=sh", "--exclude=SC1091,SC2154", "-"]
            done = subprocess.run(argv, input=script + "\n", capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{name}, {family}: {done.stdout}"


def test_git_fetches_the_commits_of_the_release() -> None:
    """Each clone is compared with, or checked out at, an argument with a default from the release or its recipe."""
    for name, arguments in (
        ("sdk", ("SPACK_COMMIT", "PACKAGES_COMMIT")),
        ("testbed-flux", ("FLUX_COMMIT",)),
        ("tutorials", ("FLUX_COMMIT",)),
    ):
        for argument in arguments:
            assert re.search(rf"^ARG {argument}=[0-9a-f]{{40}}$", text(name), re.MULTILINE)
            assert f'"${{{argument}}}"' in text(name)


def test_only_the_image_built_with_spack_has_a_dag_hash() -> None:
    assert {name for name in IMAGES if "org.exaworks.dag-hash" in text(name)} == {"sdk"}


def test_debians_libraries_are_linked_into_prefixes_as_recipes_expect_them(tmp_path: Path) -> None:
    script = ROOT / "containers/files/debian-links"
    subprocess.run([str(script), str(tmp_path)], check=True)
    subprocess.run([str(script), str(tmp_path)], check=True)  # running it again must not fail
    assert {path.name for path in tmp_path.iterdir()} == {"lua", "mpich", "tcl"}
    mpiexec = Path("/usr/bin/mpiexec.hydra")
    assert (tmp_path / "mpich/bin/mpiexec.hydra").exists() == mpiexec.exists()
    assert all(path.exists() for path in tmp_path.rglob("*")), "a link has no target"


def test_debians_tcl_scripts_are_in_a_real_folder_which_spack_searches(tmp_path: Path) -> None:
    if not Path("/usr/share/tcltk/tcl8.6/init.tcl").exists():
        pytest.skip("Debian's tcl8.6 is not installed")
    subprocess.run([str(ROOT / "containers/files/debian-links"), str(tmp_path)], check=True)
    folders = [folder for folder, _, files in os.walk(tmp_path) if "init.tcl" in files]
    assert folders == [str(tmp_path / "tcl/lib/tcl8.6")]


@pytest.mark.needs("hadolint")
def test_hadolint_accepts_every_containerfile() -> None:
    files = [str(ROOT / FOLDER / name / f"Containerfile.{family}") for name, family in ALL]
    done = subprocess.run([need("hadolint"), *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.needs("hadolint")
def test_hadolint_rejects_a_bad_containerfile(tmp_path: Path) -> None:
    bad = tmp_path / "Containerfile"
    bad.write_text("FROM debian\nRUN apt-get install x\n")
    assert subprocess.run([need("hadolint"), str(bad)], capture_output=True).returncode != 0


@pytest.mark.needs("shellcheck")
def test_shellcheck_accepts_the_entry_points() -> None:
    files = [str(ROOT / "containers/files" / name) for name in ("slurm-role", "flux-role", "debian-links")]
    done = subprocess.run([need("shellcheck"), *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.needs("podman-compose", "podman")
@pytest.mark.parametrize("name", ["testbed-slurm", "collector"])
def test_a_compose_file_is_accepted(name: str, tmp_path: Path) -> None:
    path = ROOT / FOLDER / name / "compose.yaml"
    environ = {**os.environ, "POSTGRES_PASSWORD": "x", "COLLECTOR_NAME": "status.example.org"}
    argv = [need("podman-compose"), "--file", str(path), "--profile", "backup", "config"]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"localhost/exaworks/{name}:{RELEASE.name}" in done.stdout


@pytest.mark.needs("podman-compose")
def test_a_collector_without_a_password_is_refused(tmp_path: Path) -> None:
    path = ROOT / FOLDER / "collector" / "compose.yaml"
    environ = {k: v for k, v in os.environ.items() if k != "POSTGRES_PASSWORD"}
    argv = [need("podman-compose"), "--file", str(path), "config"]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode != 0


def test_a_cluster_has_the_requested_number_of_nodes() -> None:
    text = compose(5, RELEASE)
    assert re.findall(r"^  node(\d+):$", text, re.MULTILINE) == ["1", "2", "3", "4", "5"]
    assert 'SLURM_NODES: "5"' in text


@pytest.mark.parametrize("name", [name for name in IMAGES if name != "collector"])
def test_the_site_file_of_an_image_loads_and_promises_its_components(name: str) -> None:
    system = load_file(ROOT / FOLDER / name / "site.yaml")
    assert system.system == f"image/{name}"
    assert system.detect.environment == {"EXAWORKS_IMAGE": name}
    labels = re.findall(r"org\.exaworks\.component\.([\w.-]+)=", text(name))
    assert set(system.promises) <= set(labels)
    assert {"psij", "parsl", "radical.pilot"} <= set(system.promises)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", [n for n in IMAGES if image(n, RELEASE, FAMILIES["debian-12"]).apptainer])
def test_an_apptainer_definition_agrees_with_the_containerfile(name: str, family: str) -> None:
    wanted = image(name, RELEASE, FAMILIES[family])
    written = definition(wanted, RELEASE, FAMILIES[family])
    for section in ("%post", "%environment", "%runscript", "%test", "%labels"):
        assert section in written
    commands = re.findall(r"pip install [^;\\\n]*", containerfile(wanted, RELEASE, FAMILIES[family]))
    assert commands
    assert all(command.strip() in written for command in commands)
    assert re.findall(r"^    org\.exaworks\.component\S+ \S+$", written, re.MULTILINE)
    assert "/run/secrets" not in written
    for stage in written.split("Bootstrap: ")[1:]:
        section = stage.partition("%arguments\n")[2].partition("\n%")[0]
        declared = set(re.findall(r"^    (\w+)=", section, re.MULTILINE))
        assert set(re.findall(r"\{\{ (\w+) \}\}", stage)) == declared, (
            "an argument is used but not declared, or declared but not used"
        )


def test_an_unknown_image_or_definition_is_named_in_the_error() -> None:
    with pytest.raises(NoImageError, match="no image sdk-huge"):
        image("sdk-huge", RELEASE, FAMILIES["debian-12"])
    with pytest.raises(NoImageError, match="collector has no Apptainer definition"):
        definition(image("collector", RELEASE, FAMILIES["debian-12"]), RELEASE, FAMILIES["debian-12"])


def test_the_image_sdk_is_built_with_the_spack_of_the_release() -> None:
    assert RELEASE.spack
    assert f"ARG SPACK_COMMIT={RELEASE.spack.tool.commit}" in text("sdk")
    assert f"ARG PACKAGES_COMMIT={RELEASE.spack.packages.commit}" in text("sdk")
    own, builtin = (text("sdk").index(f"config --scope site add repos:{name}:") for name in ("exaworks", "builtin"))
    assert own < builtin, "Spack takes a recipe from the first repository that has it"
    with pytest.raises(ImagesError, match="has no commits of Spack"):
        image("sdk", msgspec.structs.replace(RELEASE, spack=None), FAMILIES["debian-12"])


def test_a_flux_that_the_recipe_does_not_pin_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tmp_path / "flux_core" / "package.py"
    recipe.parent.mkdir()
    recipe.write_text('    version("0.1.0", commit="abc")\n')
    monkeypatch.setattr("containers.catalogue.RECIPES", tmp_path)
    with pytest.raises(ImagesError, match=r"no commit for version 0\.88\.0"):
        image("testbed-flux", RELEASE, FAMILIES["debian-12"])
