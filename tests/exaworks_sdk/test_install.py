"""A pip deployment of a release is created once from its lock, completely or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from exaworks_sdk.errors import InstallError
from exaworks_sdk.install import pip_deployment, spack_deployment, spack_prefix
from exaworks_sdk.paths import Places
from exaworks_sdk.release import Release, load
from tests.exaworks_sdk.conftest import wheel

pytestmark = pytest.mark.slow

MANIFEST = """
release: "2027.01"
components:
  - {name: tiny, version: "1.0", pypi: tiny, spack: py-tiny, licence: MIT, url: "https://example.org"}
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(home=tmp_path / "home", checkout=None)


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    folder = tmp_path / "releases"
    folder.mkdir()
    (folder / "2027.01.yaml").write_text(MANIFEST)
    (folder / "2027.01.lock").write_text(wheel(tmp_path / "wheels", "1.0"))
    monkeypatch.setattr("exaworks_sdk.release.FOLDER", folder)
    for name in ("EXAWORKS_WHEELHOUSE", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    return load(folder=folder)


def test_a_deployment_is_created_once_and_created_again_when_its_lock_changes(
    places: Places, release: Release, tmp_path: Path
) -> None:
    lines: list[str] = []
    folder = pip_deployment(places, release, wheelhouse=tmp_path / "wheels", progress=lines.append)
    assert folder.parent == places.deployments
    assert folder.name.startswith("2027.01-")
    assert folder.name.endswith("-py{}.{}".format(*sys.version_info))
    assert lines[0].startswith("creating the deployment of release 2027.01")
    answer = subprocess.run(
        [
            folder / "bin" / "python",
            "-I",
            "-c",
            "import json, sys, tiny; print(json.dumps([tiny.VERSION, sys.prefix]))",
        ],
        capture_output=True,
        check=True,
    )
    assert json.loads(answer.stdout) == ["1.0", str(folder)]

    lines.clear()
    assert pip_deployment(places, release, progress=lines.append) == folder
    assert lines == []

    release.lock.write_text(wheel(tmp_path / "wheels", "1.1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXAWORKS_WHEELHOUSE", str(tmp_path / "wheels"))
        pip_deployment(places, release, progress=lines.append)
    assert lines
    assert list(folder.glob("lib/python*/site-packages/tiny-1.1.dist-info"))


def test_a_deployment_is_never_below_a_path_with_a_space(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RADICAL-Pilot's agent does not start from such a path, and resolves links."""
    private = tmp_path / "private"
    monkeypatch.setattr("exaworks_sdk.utf8_path.PRIVATE", str(private))
    monkeypatch.setattr("exaworks_sdk.install.make", lambda recipe, progress: recipe.folder)
    folders = []
    for name in ("my home", "my\thome", "home"):
        places = Places(home=tmp_path / name, checkout=None)
        folders.append(
            pip_deployment(places, release, wheelhouse=tmp_path / "wheels", progress=lambda line: None).resolve()
        )
    assert [folder.parents[1] for folder in folders[:2]] == [private, private]
    assert folders[0] != folders[1]
    assert folders[2].parent == tmp_path / "home" / "deployments"
    assert private.stat().st_mode & 0o077 == 0
    private.chmod(0o755)
    monkeypatch.setattr("exaworks_sdk.utf8_path.os.getuid", lambda: 12345)
    places = Places(home=tmp_path / "another home", checkout=None)
    with pytest.raises(InstallError, match=r"contains a space.*belongs to another user.*Set EXAWORKS_HOME"):
        pip_deployment(places, release, progress=lambda line: None)


def test_a_failure_of_pip_is_reported_in_two_lines_with_the_log_and_leaves_no_deployment(
    places: Places, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(InstallError) as error:
        pip_deployment(places, release, progress=lambda line: None)
    first, second = error.value.message.splitlines()
    assert first == (
        "cannot install 2027.01.lock for the deployment of release 2027.01: "
        "ERROR: No matching distribution found for tiny==1.0"
    )
    log = Path(second.rpartition("Full output: ")[2])
    assert "tiny" in log.read_text()
    assert not list(places.deployments.glob("*/.made"))


def test_incompatible_packages_are_refused(places: Places, release: Release, tmp_path: Path) -> None:
    release.lock.write_text(wheel(tmp_path / "wheels", "1.2", requires="absent>=7"))
    with pytest.raises(InstallError, match=r"cannot satisfy the dependencies of all packages .*absent"):
        pip_deployment(places, release, wheelhouse=tmp_path / "wheels", progress=lambda line: None)


def test_a_python_that_is_too_old_or_does_not_run_is_refused(places: Places, release: Release, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    with pytest.raises(InstallError, match=r"is Python 3\.9; a deployment needs 3\.10 or newer"):
        pip_deployment(places, release, python=str(old), progress=lambda line: None)
    with pytest.raises(InstallError, match="does not run"):
        pip_deployment(places, release, python="/no/such/python", progress=lambda line: None)


def test_the_spack_deployment_has_the_concretized_components_and_no_version_of_an_external(
    places: Places, release: Release, tmp_path: Path
) -> None:
    with pytest.raises(InstallError, match=r"there is no environment .*Create it with 'exaworks install'"):
        spack_deployment(places, release)
    folder = spack_prefix(places, release) / "environment"
    folder.mkdir(parents=True)
    for node, promised in (
        ({"name": "py-tiny"}, {"tiny": "1.0"}),
        ({"name": "py-tiny", "external": {"path": "/usr"}}, {"tiny": None}),
        ({"name": "py-other"}, {}),
    ):
        (folder / "spack.lock").write_text(json.dumps({"concrete_specs": {"abc": node}}))
        assert spack_deployment(places, release) == (folder, promised)
    (folder / "spack.lock").write_text('{"concrete_specs": {"abc')
    with pytest.raises(InstallError, match=r"spack.lock: cannot be read: .*Concretize the environment again"):
        spack_deployment(places, release)
