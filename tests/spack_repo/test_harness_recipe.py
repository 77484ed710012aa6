"""py-exaworks-sdk installs from what contains its recipe: a checkout with or without the tag, or a release archive."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from git import Actor, Repo

from exaworks_sdk import __version__
from tests.spack_repo.recipes import REPOSITORY, Recipe, read

FOLDER = "spack_repo/exaworks/packages/py_exaworks_sdk"
RECIPE = (REPOSITORY / "packages" / "py_exaworks_sdk" / "package.py").read_text()
AUTHOR = Actor("test", "test@localhost")


def repository(folder: Path) -> Repo:
    """Return a git repository that contains the recipe, with one commit."""
    path = folder / FOLDER / "package.py"
    path.parent.mkdir(parents=True)
    path.write_text(RECIPE)
    repo = Repo.init(folder, initial_branch="main")
    with repo.config_writer() as settings:  # a machine without git's user.name refuses to make a tag
        settings.set_value("user", "name", AUTHOR.name)
        settings.set_value("user", "email", AUTHOR.email)
    repo.index.add([str(path)])
    repo.index.commit("release", author=AUTHOR, committer=AUTHOR)
    return repo


def recipe(folder: Path) -> Recipe:
    return read("py_exaworks_sdk", folder / FOLDER / "..")


def cls(folder: Path) -> Any:
    return recipe(folder).cls


def test_the_recipe_names_the_version_of_the_project() -> None:
    assert f'RELEASE = "{__version__}"' in RECIPE


def test_a_checkout_without_the_tag_installs_its_own_commit(tmp_path: Path) -> None:
    head = repository(tmp_path / "checkout").head.commit.hexsha
    assert recipe(tmp_path / "checkout").versions == {"develop": {"commit": head}}
    assert (cls(tmp_path / "checkout").git, cls(tmp_path / "checkout").has_code) == (
        (tmp_path / "checkout").as_uri(),
        True,
    )


def test_a_checkout_with_the_tag_installs_the_release_and_can_install_its_newest_commit(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    tagged = repo.head.commit.hexsha
    repo.create_tag(f"v{__version__}", message="release")  # an annotated tag is an object of its own
    repo.index.commit("later", author=AUTHOR, committer=AUTHOR)
    assert recipe(tmp_path).versions == {
        __version__: {"tag": f"v{__version__}", "commit": tagged},
        "develop": {"commit": repo.head.commit.hexsha},
    }


def test_a_clone_as_spack_repo_add_makes_it_has_the_commit_that_the_recipe_names(tmp_path: Path) -> None:
    """It has the last two commits and no tags."""
    origin = repository(tmp_path / "origin")
    for message in ("second", "third", "fourth"):
        origin.index.commit(message, author=AUTHOR, committer=AUTHOR)
    shallow = tmp_path / "shallow"
    Repo.clone_from((tmp_path / "origin").as_uri(), shallow, depth=2, no_tags=True)
    (options,) = recipe(shallow).versions.values()
    fetched = Repo.clone_from(cls(shallow).git, tmp_path / "stage")
    fetched.git.checkout(options["commit"])
    assert (tmp_path / "stage" / FOLDER / "package.py").read_text() == RECIPE


@pytest.mark.parametrize("inside", [False, True])
def test_an_unpacked_archive_installs_its_own_files(tmp_path: Path, inside: bool) -> None:
    """Also one that lies in another repository, whose commits have nothing to do with it."""
    if inside:
        repository(tmp_path)
    unpacked = tmp_path / f"exaworks-sdk-{__version__}"
    path = unpacked / FOLDER / "package.py"
    path.parent.mkdir(parents=True)
    path.write_text(RECIPE)
    (unpacked / "pyproject.toml").write_text("[project]\n")
    (unpacked / ".exaworks").mkdir()
    assert recipe(unpacked).versions == {__version__: {}}
    package = cls(unpacked)()
    assert package.has_code is False

    class Stage:
        source_path = str(tmp_path / "stage")

    package.stage = Stage
    (tmp_path / "stage").mkdir()  # Spack creates it
    package.copy_release()
    copied = sorted(str(each.relative_to(tmp_path / "stage")) for each in (tmp_path / "stage").rglob("*.*"))
    assert copied == ["pyproject.toml", f"{FOLDER}/package.py"]


def test_a_checkout_is_not_copied(tmp_path: Path) -> None:
    repository(tmp_path)
    cls(tmp_path)().copy_release()  # it needs no stage


@pytest.mark.parametrize("reason", ["no commit", "no git"])
def test_without_a_commit_or_git_the_files_are_installed_as_they_are(
    tmp_path: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "no git":
        repository(tmp_path)
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    else:
        path = tmp_path / FOLDER / "package.py"
        path.parent.mkdir(parents=True)
        path.write_text(RECIPE)
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert recipe(tmp_path).versions == {__version__: {}}
    assert cls(tmp_path).has_code is False
