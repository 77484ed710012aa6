"""Cutting a version: in temporary git repositories that have the files of a checkout which it reads and writes."""

from __future__ import annotations

import datetime
import hashlib
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from git import Repo

from exaworks_sdk.errors import ReleaseError
from exaworks_sdk.release import load
from exaworks_sdk.releasing.cut import Cut, carry_out, describe, plan
from exaworks_sdk.releasing.notes import page
from exaworks_sdk.spack.environment import environment_files

RELEASE = load()
VERSION = f"{RELEASE.name}.3"
OLD = f"{RELEASE.name}.2"
TODAY = datetime.date(2026, 11, 29)
CHANGELOG = f"""# Changelog

## [Unreleased]: to come

### Added

- Something new.

## [{OLD}]: 2026-11-01

- Something old.
"""
RECIPE = "spack_repo/exaworks/packages/py_exaworks_sdk/package.py"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A checkout that is ready: its files are up to date and committed."""
    folder = tmp_path / "checkout"
    files = {
        "CHANGELOG.md": CHANGELOG,
        "exaworks_sdk/__init__.py": f'"""The root package."""\n\n__version__ = "{OLD}"\n',
        RECIPE: f'RELEASE = "{OLD}"\n',
        f"docs/releases/{RELEASE.name}.md": page(RELEASE),
        **{
            str(path.relative_to(folder)): text
            for path, text in environment_files(RELEASE, folder / "spack_repo" / "environments", {}).items()
        },
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    made = Repo.init(folder, initial_branch="main")
    with made.config_writer() as settings:
        settings.set_value("user", "name", "test")
        settings.set_value("user", "email", "test@localhost")
    made.git.add("--all")
    made.git.commit("--quiet", "-m", "all files")
    return made


def planned(repo: Repo, version: str = VERSION, *locks: str) -> Cut:
    return plan(Path(repo.working_dir), RELEASE, version, TODAY, iter(locks))


def test_a_version_is_one_commit_a_tag_with_the_notes_and_an_archive(repo: Repo, tmp_path: Path) -> None:
    before = repo.head.commit
    files = carry_out(planned(repo), tmp_path / "out")
    assert [path.name for path in files] == [
        f"exaworks-sdk-{VERSION}.{end}" for end in ("tar.gz", "tar.gz.sha256", "md", "spdx.json")
    ]
    assert repo.head.commit.parents == (before,)
    assert repo.head.commit.message.strip() == f"Release {VERSION}"
    assert set(repo.head.commit.stats.files) == {"CHANGELOG.md", "exaworks_sdk/__init__.py", RECIPE}
    assert not repo.is_dirty(untracked_files=True)
    (tag,) = repo.tags
    assert (tag.name, tag.commit) == (f"v{VERSION}", repo.head.commit)
    assert tag.tag is not None
    assert tag.tag.message.startswith(f"# ExaWorks SDK {VERSION}\n\n### Added\n\n- Something new.\n\n## Release")
    assert files[2].read_text().startswith(tag.tag.message.rstrip())
    folder = Path(repo.working_dir)
    assert f'__version__ = "{VERSION}"' in (folder / "exaworks_sdk/__init__.py").read_text()
    changelog = (folder / "CHANGELOG.md").read_text()
    assert f"## [Unreleased]\n\n## [{VERSION}]: 2026-11-29\n\n### Added\n\n- Something new.\n" in changelog
    assert changelog.endswith(CHANGELOG.partition("- Something new.")[2])
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    assert files[1].read_text() == f"{digest}  {files[0].name}\n"
    assert json.loads(files[3].read_text())["name"] == f"exaworks-{RELEASE.name}"


def test_the_archive_has_the_files_of_the_tag_below_one_folder(repo: Repo, tmp_path: Path) -> None:
    (Path(repo.working_dir) / "untracked.txt").write_text("not part of the version")
    archive, *_ = carry_out(planned(repo), tmp_path / "out")
    with tarfile.open(archive) as packed:
        names = {member.name for member in packed if member.isfile()}
        member = packed.extractfile(f"exaworks-sdk-{VERSION}/exaworks_sdk/__init__.py")
        assert member is not None
        assert f'"{VERSION}"' in member.read().decode()
    assert names == {f"exaworks-sdk-{VERSION}/{path}" for path in repo.git.ls_files().splitlines()}


def test_whoever_has_the_tag_makes_the_same_archive(repo: Repo, tmp_path: Path) -> None:
    archive, *_ = carry_out(planned(repo), tmp_path / "out")
    first = archive.read_bytes()
    (Path(repo.working_dir) / "later.txt").write_text("later")
    repo.git.add("--all")
    repo.git.commit("--quiet", "-m", "later")
    clone = Repo.clone_from(Path(repo.working_dir).as_uri(), tmp_path / "clone")
    again = planned(clone)
    assert again.tag_exists
    assert "only archive and notes are made again" in describe(again, tmp_path)
    files = carry_out(again, tmp_path / "again")
    assert files[0].read_bytes() == first
    assert [path.read_bytes() for path in files[1:]] == [
        path.read_bytes() for path in sorted((tmp_path / "out").iterdir(), key=lambda path: _order(path.name))[1:]
    ]
    assert clone.head.commit.message.strip() == "later"
    by_hand = f"git archive --format=tar --prefix=exaworks-sdk-{VERSION}/ v{VERSION} | gzip -n -9"
    assert subprocess.run(by_hand, shell=True, cwd=clone.working_dir, capture_output=True, check=True).stdout == first


def _order(name: str) -> int:
    return ["gz", "sha256", "md", "json"].index(name.rpartition(".")[2])


def test_a_plan_changes_nothing_and_names_all_that_would_be_done(repo: Repo, tmp_path: Path) -> None:
    before = (repo.head.commit, repo.git.status("--porcelain"))
    text = describe(planned(repo), tmp_path)
    assert (repo.head.commit, repo.git.status("--porcelain"), list(repo.tags)) == (*before, [])
    for line in (
        "write   CHANGELOG.md",
        "write   exaworks_sdk/__init__.py",
        f"commit  Release {VERSION}",
        f"tag     v{VERSION}, annotated with the notes",
        f"archive {tmp_path}/exaworks-sdk-{VERSION}.tar.gz, with .sha256",
        "- Something new.",
    ):
        assert line in text


def _change(name: str, text: str) -> Callable[[Repo], None]:
    def change(repo: Repo) -> None:
        (Path(repo.working_dir) / name).write_text(text)

    return change


def _commit(name: str, text: str) -> Callable[[Repo], None]:
    def change(repo: Repo) -> None:
        (Path(repo.working_dir) / name).write_text(text)
        repo.git.commit("--quiet", "-am", "changed")

    return change


@pytest.mark.parametrize(
    ("change", "version", "problem"),
    [
        (_change("CHANGELOG.md", "x"), VERSION, "tracked files have changes (CHANGELOG.md): commit them"),
        (lambda repo: repo.git.checkout("--detach"), VERSION, "no branch is checked out"),
        (_commit("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n## [1]\n\n- old\n"), VERSION, "has no section"),
        (_commit("CHANGELOG.md", "# Changelog\n"), VERSION, "has no section ## [Unreleased] with an entry"),
        (
            _commit(f"docs/releases/{RELEASE.name}.md", "old"),
            VERSION,
            f"docs/releases/{RELEASE.name}.md is out of date: exaworks release page",
        ),
        (
            _commit(f"spack_repo/environments/{RELEASE.name}/spack.yaml", "old"),
            VERSION,
            "spack.yaml is out of date: exaworks release environments",
        ),
        (lambda repo: None, "2026.11", "2026.11 is not YEAR.MONTH.PATCH"),
        (lambda repo: None, "2031.01.0", f"belongs to release 2031.01, and the newest manifest is {RELEASE.name}"),
        (lambda repo: repo.git.config("user.name", ""), VERSION, "git config user.name"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_changed(
    repo: Repo, change: Callable[[Repo], None], version: str, problem: str
) -> None:
    change(repo)
    before = (repo.head.commit, repo.git.status("--porcelain"))
    with pytest.raises(ReleaseError) as caught:
        planned(repo, version)
    assert problem in caught.value.format_message()
    assert (repo.head.commit, repo.git.status("--porcelain"), list(repo.tags)) == (*before, [])


def test_all_problems_are_named_at_once_also_those_of_the_locks(repo: Repo) -> None:
    _commit("CHANGELOG.md", "# Changelog\n")(repo)
    with pytest.raises(ReleaseError) as caught:
        planned(repo, VERSION, "lab/box: there is no lock", "lab/two: it is for rhel8")
    lines = caught.value.format_message().splitlines()
    assert lines[0] == f"{VERSION} cannot be cut:"
    assert [line.strip() for line in lines[-2:]] == ["lab/box: there is no lock", "lab/two: it is for rhel8"]
    assert len(lines) == 4


def test_a_folder_without_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is no git repository"):
        plan(tmp_path, RELEASE, VERSION, TODAY, iter(()))


@pytest.mark.parametrize(
    "breakage",
    [
        {"core.hooksPath": "hooks-that-refuse"},
        {"tag.gpgSign": "true", "gpg.program": "false"},
        {"commit.gpgSign": "true", "gpg.program": "false"},
    ],
)
def test_if_git_refuses_the_commit_or_the_tag_nothing_is_changed(
    repo: Repo, breakage: dict[str, str], tmp_path: Path
) -> None:
    hook = Path(repo.working_dir) / "hooks-that-refuse" / "pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    for name, value in breakage.items():
        repo.git.config(name, value)
    before = (repo.head.commit, repo.git.status("--porcelain"))
    with pytest.raises(ReleaseError, match="git failed, and nothing was changed"):
        carry_out(planned(repo), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (repo.head.commit, repo.git.status("--porcelain"), list(repo.tags)) == (*before, [])
