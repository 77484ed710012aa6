"""A release as a conda environment: its file, its lock, and the environment that one of conda's programs creates."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from exaworks_sdk.cli import main
from exaworks_sdk.conda import check_lock, conda_deployment, environment_text, find_tool, lock_path, make_lock, specs
from exaworks_sdk.errors import InstallError
from exaworks_sdk.paths import Places
from exaworks_sdk.release import Release, load, names
from sdk_tests.deployments import resolve
from tests.exaworks_sdk.conda_tool import BARE, tool
from tests.exaworks_sdk.conftest import wheel

MANIFEST = """
release: "2027.01"
components:
  - {name: tiny, version: "1.0", pypi: tiny, spack: py-tiny, licence: MIT, url: "https://example.org"}
compiled: {netiface: [tiny]}
"""
MD5 = "0123456789abcdef0123456789abcdef"
LINE = f"https://conda.example.org/conda-forge/linux-64/python-3.11.9-h_0.conda#{MD5}"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    folder = tmp_path / "releases"
    folder.mkdir()
    (folder / "2027.01.yaml").write_text(MANIFEST)
    compiled = wheel(tmp_path / "wheels", "0.11.0", name="netiface")
    (folder / "2027.01.lock").write_text(wheel(tmp_path / "wheels", "1.0") + compiled)
    monkeypatch.setattr("exaworks_sdk.release.FOLDER", folder)
    monkeypatch.setenv("EXAWORKS_WHEELHOUSE", str(tmp_path / "wheels"))
    return load(folder=folder)


def environ(tmp_path: Path, kind: str) -> dict[str, str]:
    tool(tmp_path / "bin", kind)
    return {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "EXAWORKS_WHEELHOUSE": str(tmp_path / "wheels"), "HOME": "/x"}


def test_the_environment_file_of_each_release_is_that_of_its_manifest() -> None:
    for name in names():
        release = load(name)
        tree = YAML(typ="safe", pure=True).load(environment_text(release))
        *conda, pip = tree["dependencies"]
        assert conda == specs(release)
        assert pip == {"pip": ["--no-deps", "--require-hashes", f"-r {release.lock.name}"]}
        assert tree["channels"] == ["conda-forge", "nodefaults"]
        for compiled in release.compiled:
            (spec,) = [spec for spec in conda if spec.startswith(f"{compiled}=")]
            assert f"{compiled}=={spec.partition('=')[2]} " in release.lock.read_text(), "pip finds it installed"


def test_the_command_writes_the_file_beside_the_lock_that_it_names(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["release", "conda", "--to", str(tmp_path)])
    assert done.exit_code == 0, done.output
    tree = YAML(typ="safe", pure=True).load(tmp_path / "environment.yml")
    named = tree["dependencies"][-1]["pip"][-1].removeprefix("-r ")
    assert (tmp_path / named).read_text() == load().lock.read_text()


@pytest.mark.parametrize("kind", ["micromamba", pytest.param("conda", marks=pytest.mark.long)])
def test_an_environment_is_created_once_and_is_a_deployment(tmp_path: Path, release: Release, kind: str) -> None:
    places, given, lines = Places(home=tmp_path / "home", checkout=None), environ(tmp_path, kind), list[str]()
    folder = conda_deployment(places, release, given, progress=lines.append)
    assert json.loads((folder / "conda-meta" / "listed.json").read_text()) == specs(release)
    assert lines[0].startswith("creating the conda environment of release 2027.01")
    code = "import tiny, netiface; print(tiny.VERSION)"
    assert subprocess.check_output([folder / "bin" / "python", "-I", "-c", code], text=True) == "1.0\n"
    lines.clear()
    assert conda_deployment(places, release, given, progress=lines.append) == folder
    assert lines == []
    deployment = resolve(f"conda:{folder}", given)
    assert Path(deployment.python).is_relative_to(folder)
    assert deployment.kind == "conda"


def test_a_changed_lock_of_condas_packages_creates_the_environment_again(tmp_path: Path, release: Release) -> None:
    places, given = Places(home=tmp_path / "home", checkout=None), environ(tmp_path, "micromamba")
    lock = lock_path(release)
    lock.write_text(f"@EXPLICIT\n{LINE}\n")
    folder = conda_deployment(places, release, given, progress=lambda line: None)
    listed = folder / "conda-meta" / "listed.json"
    assert json.loads(listed.read_text()) == [LINE]
    newer = LINE.replace("3.11.9", "3.11.10")
    lock.write_text(f"@EXPLICIT\n{newer}\n")
    conda_deployment(places, release, given, progress=lambda line: None)
    assert json.loads(listed.read_text()) == [newer]


@pytest.mark.parametrize("kind", ["micromamba", "mamba", "conda"])
def test_a_lock_lists_every_package_with_a_hash(tmp_path: Path, release: Release, kind: str) -> None:
    given = {**environ(tmp_path, kind), BARE: "1"}
    text = make_lock(release, given)
    check_lock(text, "x")
    assert text.count("#") == 1 + len(specs(release))
    tool(tmp_path / "bin", kind, hashed=False)
    with pytest.raises(InstallError, match="and its hash"):
        make_lock(release, given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no line @EXPLICIT"),
        ("@EXPLICIT\n", "no line @EXPLICIT with packages"),
        (f"{LINE}\n", "no line @EXPLICIT"),
        (f"@EXPLICIT\n{LINE.partition('#')[0]}\n", "lock:2: .* and its hash"),
        (f"@EXPLICIT\n{LINE}\npython=3.11\n", "lock:3: "),
        (f"@EXPLICIT\n{LINE}0\n", "lock:2: "),
    ],
)
def test_a_lock_without_a_hash_for_each_package_is_refused(text: str, message: str) -> None:
    with pytest.raises(InstallError, match=message):
        check_lock(text, "lock")


@pytest.mark.parametrize("digest", [MD5, MD5 * 2, f"sha256:{MD5 * 2}"])
def test_each_form_of_hash_is_accepted(digest: str) -> None:
    check_lock(f"# a list\n@EXPLICIT\n{LINE.partition('#')[0]}#{digest}\n", "lock")


def test_without_a_tool_and_after_a_failure_the_message_says_what_to_do(tmp_path: Path, release: Release) -> None:
    places = Places(home=tmp_path / "home", checkout=None)
    with pytest.raises(InstallError, match="needs micromamba, mamba or conda on PATH"):
        find_tool({"PATH": "/nowhere", "CONDA_EXE": "/nowhere/conda"})
    release.lock.write_text("absent==1 \\\n    --hash=sha256:" + MD5 * 2 + "\n")
    insoluble = msgspec.structs.replace(release, compiled={"absent": []})
    given = environ(tmp_path, "micromamba")
    with pytest.raises(InstallError, match="Could not solve for environment specs"):
        conda_deployment(places, insoluble, given, progress=lambda line: None)
    with pytest.raises(InstallError, match="cannot have a space in its path"):
        conda_deployment(Places(home=tmp_path / "my home", checkout=None), release, given, progress=lambda line: None)
