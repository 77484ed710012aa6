from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard_client.provenance import harness, without_credentials
from tests.dashboard_client.samples import environ


def git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("a = 1\n")
    git(folder, "add", "a.py")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_clean_checkout_is_named_by_its_commit(checkout: Path) -> None:
    git(checkout, "remote", "add", "fork", "https://fork.example.org/x.git")
    git(checkout, "remote", "add", "origin", "https://oauth2:t0ken@git.example.org/g/x.git?private_token=abc#f")
    result = harness(checkout, "1.2", "digest")
    assert (result.version, result.config_digest) == ("1.2", "digest")
    assert (result.commit, result.dirty) == (git(checkout, "rev-parse", "HEAD"), False)
    assert result.remote == "https://git.example.org/g/x.git"


@pytest.mark.parametrize("name", ["a.py", "new.py"])
def test_a_changed_or_new_file_makes_the_checkout_dirty(checkout: Path, name: str) -> None:
    (checkout / name).write_text("a = 2\n")
    assert harness(checkout, "1", None).dirty is True


@pytest.mark.parametrize("state", ["absent", "plain", "file", "inside", "without commits"])
def test_outside_a_checkout_only_the_version_is_known(checkout: Path, tmp_path: Path, state: str) -> None:
    folder = tmp_path / state if state != "inside" else checkout / "inside"
    if state == "file":
        folder.write_text("")
    elif state != "absent":
        folder.mkdir()
    if state == "without commits":
        git(folder, "init", "-q")
    result = harness(folder, "1", None)
    assert (result.version, result.commit, result.dirty, result.remote) == ("1", None, None, None)
    assert harness(None, "1", None) == result


def test_the_commit_of_a_checkout_of_another_owner_is_unknown(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving files to another user needs root")
    for path in (checkout, *checkout.rglob("*")):
        os.chown(path, 12345, 12345)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for name in ("SUDO_UID", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_GLOBAL"):
        monkeypatch.delenv(name, raising=False)
    refused = subprocess.run(["git", "status"], cwd=checkout, capture_output=True, check=False)
    assert refused.returncode == 128
    result = harness(checkout, "1", None)
    assert (result.commit, result.dirty, result.remote) == (None, None, None)


def test_without_a_git_program_only_the_version_is_known(checkout: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from dashboard_client.provenance import harness\n"
        "print(harness(Path(sys.argv[1]), '1', None).commit)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(checkout)],
        env=environ(PATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")


def test_describing_the_harness_changes_nothing_in_the_checkout(checkout: Path) -> None:
    os.utime(checkout / "a.py", (1, 1))
    before = {path: path.stat().st_mtime_ns for path in sorted(checkout.rglob("*"))}
    harness(checkout, "1", None)
    assert {path: path.stat().st_mtime_ns for path in sorted(checkout.rglob("*"))} == before


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:pass@host.example/a.git", "https://host.example/a.git"),
        ("https://token@host.example:8443/a", "https://host.example:8443/a"),
        ("ssh://git@host.example:22/a.git", "ssh://git@host.example:22/a.git"),
        ("ssh://alice@host.example/a.git", "ssh://host.example/a.git"),
        ("git@host.example:group/a.git", "git@host.example:group/a.git"),
        ("alice@host.example:group/a.git", "host.example:group/a.git"),
        ("/srv/git/a@b.git", "/srv/git/a@b.git"),
        ("../a.git", "../a.git"),
    ],
)
def test_a_remote_is_recorded_without_credentials(url: str, expected: str) -> None:
    assert without_credentials(url) == expected
