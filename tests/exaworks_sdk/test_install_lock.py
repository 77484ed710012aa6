"""``exaworks install --site`` takes the lock of the release, if it fits; with a Spack that is a shell script."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from git import Actor, Repo

from exaworks_sdk.cli_install import _lock
from exaworks_sdk.cli_install import install as command
from exaworks_sdk.paths import Places
from exaworks_sdk.release import Checkout, Release, SpackPins, load
from exaworks_sdk.spack.install import InstallRequest, install
from exaworks_sdk.spack.lock import lock_file
from exaworks_sdk.spack.lock_use import take_lock
from exaworks_sdk.spack.tool import Spack

ROOT = Path(__file__).resolve().parents[2]
AUTHOR = Actor("test", "test@localhost")
ARCH = {"platform": "linux", "platform_os": "rhel8", "target": "zen3"}
NODES = {"concrete_specs": {"abc": {"name": "py-parsl", "version": "1", "arch": ARCH}}}
SCRIPT = """#!/bin/sh
echo "$*" >> "{calls}"
case "$*" in
*"python -c"*) echo "{builtin}" ;;
*concretize*) echo '{lock}' > "$3/spack.lock" ;;
*test*) echo '===== 1 passed of 1 specs =====' ;;
esac
"""


def repository(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    repo = Repo.init(folder)
    return repo.index.commit(f"of {folder.name}", author=AUTHOR, committer=AUTHOR).hexsha


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A release of exactly the Spack and the packages that this machine has."""
    root, builtin = tmp_path / "spack", tmp_path / "packages"
    program = root / "bin" / "spack"
    program.parent.mkdir(parents=True)
    fresh = json.dumps({"concrete_specs": {"fresh": {"name": "py-parsl", "version": "2"}}})
    program.write_text(SCRIPT.format(calls=tmp_path / "calls", builtin=builtin / "repos", lock=fresh))
    program.chmod(0o755)
    monkeypatch.setenv("SPACK_ROOT", str(root))
    (builtin / "repos").mkdir(parents=True)
    pins = SpackPins(
        tool=Checkout(url="https://example.org/spack", commit=repository(root)),
        packages=Checkout(url="https://example.org/packages", commit=repository(builtin)),
        on=["parsl"],
    )
    (tmp_path / "release.lock").write_text(json.dumps(NODES))
    return msgspec.structs.replace(load(), spack=pins)


def request(tmp_path: Path, release: Release, lock: bool = True) -> InstallRequest:
    return InstallRequest(
        release=release,
        prefix=tmp_path / "prefix",
        recipes=ROOT / "spack_repo" / "exaworks",
        resume_command="exaworks install",
        lock=tmp_path / "release.lock" if lock else None,
    )


def installed(tmp_path: Path) -> tuple[list[str], list[str]]:
    """Return the packages of the environment and the commands that Spack got."""
    lock = json.loads((tmp_path / "prefix" / "environment" / "spack.lock").read_text())
    return list(lock["concrete_specs"]), (tmp_path / "calls").read_text().splitlines()


def test_the_lock_is_installed_and_nothing_is_concretized(tmp_path: Path, release: Release) -> None:
    lines: list[str] = []
    install(request(tmp_path, release), lines.append)
    packages, calls = installed(tmp_path)
    assert packages == ["abc"]
    assert not any("concretize" in call for call in calls)
    assert any(" install" in call for call in calls)
    assert f"using the lock of the release, nothing is concretized: {tmp_path / 'release.lock'}" in lines


def test_without_a_lock_the_environment_is_concretized(tmp_path: Path, release: Release) -> None:
    install(request(tmp_path, release, lock=False), lambda line: None)
    assert installed(tmp_path)[0] == ["fresh"]


@pytest.mark.parametrize("other", ["spack", "packages"])
def test_another_spack_or_other_packages_concretize_and_the_reason_is_printed(
    tmp_path: Path, release: Release, other: str
) -> None:
    repository(tmp_path / other)  # one more commit
    lines: list[str] = []
    install(request(tmp_path, release), lines.append)
    assert installed(tmp_path)[0] == ["fresh"]
    (reason,) = [line for line in lines if line.startswith("the lock of the release is not used: ")]
    assert f"{tmp_path / other}" in reason
    assert "and the lock was made with " in reason


@pytest.mark.parametrize("answer", ["", "exit 1"])
def test_a_spack_that_does_not_say_where_its_packages_are_concretizes(
    tmp_path: Path, release: Release, answer: str
) -> None:
    program = tmp_path / "spack" / "bin" / "spack"
    program.write_text(program.read_text().replace(f'echo "{tmp_path / "packages" / "repos"}"', answer))
    lines: list[str] = []
    install(request(tmp_path, release), lines.append)
    assert installed(tmp_path)[0] == ["fresh"]
    assert any("where its packages are" in line for line in lines)


def test_a_spack_that_was_cloned_for_the_release_takes_the_lock_without_a_question(
    tmp_path: Path, release: Release
) -> None:
    target = tmp_path / "target"
    spack = Spack(tmp_path / "nowhere", own=True)
    assert release.spack is not None
    log = tmp_path / "log"
    assert take_lock(tmp_path / "release.lock", target, release.spack, spack, log, lambda line: None)
    assert json.loads(target.read_text()) == NODES


def test_a_lock_that_does_not_fit_the_scope_is_not_taken_and_the_reasons_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lock_file(tmp_path, load(), "llnl/dane")
    scope = ROOT / "site_configs" / "llnl" / "spack" / "dane"
    assert _lock(tmp_path, load(), "llnl/dane", scope) is None
    assert capsys.readouterr().err == ""
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**NODES, "roots": [{"spec": "exaworks@1"}]}))
    assert _lock(tmp_path, load(), "llnl/dane", scope) is None
    assert "the lock of the release for llnl/dane is not used: its roots are exaworks@1" in capsys.readouterr().err


def test_the_lock_of_a_packaged_system_is_the_one_of_the_release() -> None:
    scope = ROOT / "site_configs" / "llnl" / "spack" / "dane"
    assert _lock(ROOT, load(), "llnl/dane", scope) == lock_file(ROOT, load(), "llnl/dane")
    assert _lock(ROOT, load(), None, None) is None


def test_the_help_says_when_a_lock_is_used(tmp_path: Path) -> None:
    text = CliRunner().invoke(command, ["--help"], obj=Places(tmp_path, ROOT)).output
    assert "--no-lock" in text
    assert "the release's lock for the system is used instead of concretizing" in " ".join(text.split())
