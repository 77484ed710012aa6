"""Cut a version of the project in its checkout: commit, tag, notes and archive, all on this machine.

Everything is checked first, and all problems are reported together. The archive is made of the tag with ``git archive``
and ``gzip -n``, so that whoever has the tag gets the same bytes. If the tag is there already, notes and archive are
made again, and nothing else.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exaworks_sdk.errors import ReleaseError
from exaworks_sdk.release import Release
from exaworks_sdk.releasing.licences import spdx_document
from exaworks_sdk.releasing.notes import page
from exaworks_sdk.spack.environment import environment_files

if TYPE_CHECKING:
    from git import Repo

VERSION = re.compile(r"(\d{4}\.\d{2})\.(\d+)")
CHANGELOG = "CHANGELOG.md"
UNRELEASED = "## [Unreleased]"
VERSION_FILES = {
    "exaworks_sdk/__init__.py": r'^__version__ = "(.*)"$',
    "spack_repo/exaworks/packages/py_exaworks_sdk/package.py": r'^RELEASE = "(.*)"$',
}
"""The files that contain the version of the project, each with a pattern of it."""


@dataclass(frozen=True)
class Cut:
    """What cutting a version does. files: texts to write before the commit, by path; empty if the tag exists."""

    version: str
    release: Release
    checkout: Path
    files: Mapping[Path, str]
    notes: str
    tag_exists: bool

    @property
    def tag(self) -> str:
        return f"v{self.version}"

    @property
    def name(self) -> str:
        return f"exaworks-sdk-{self.version}"


def plan(checkout: Path, release: Release, version: str, today: datetime.date, locks: Iterator[str]) -> Cut:
    """Check everything that a version needs, and return what cutting it does.

    locks: how the Spack locks differ from the manifest, one line each.

    Raises:
        ReleaseError: it cannot be cut; the message has every problem and what to do.
    """
    repo = _repository(checkout)
    if f"v{version}" in (tag.name for tag in repo.tags):
        section = _section(_text(repo, version, CHANGELOG), rf"\[{re.escape(version)}\]")
        return Cut(version, release, checkout, {}, _notes(version, release, section), tag_exists=True)
    changelog = (checkout / CHANGELOG).read_text()
    section = _section(changelog, r"\[Unreleased\]")
    problems = [*_problems(repo, release, version, section), *_stale(checkout, release), *locks]
    if problems:
        raise ReleaseError("\n  ".join([f"{version} cannot be cut:", *problems]))
    heading = re.search(r"^## \[Unreleased\].*$", changelog, re.MULTILINE)
    assert heading is not None
    dated = f"{UNRELEASED}\n\n## [{version}]: {today.isoformat()}"
    files = {checkout / CHANGELOG: changelog[: heading.start()] + dated + changelog[heading.end() :]}
    for name, pattern in VERSION_FILES.items():
        text = (checkout / name).read_text()
        match = re.search(pattern, text, re.MULTILINE)
        if match is None:
            raise ReleaseError(f"{checkout / name}: no line matches {pattern}: write the version there.")
        if match[1] != version:
            files[checkout / name] = text[: match.start(1)] + version + text[match.end(1) :]
    return Cut(version, release, checkout, files, _notes(version, release, section), tag_exists=False)


def carry_out(cut: Cut, folder: Path) -> list[Path]:
    """Write, commit and tag, then make the archive and what accompanies it in a folder. Return the files in it.

    Raises:
        ReleaseError: git or gzip failed; the message states what exists.
    """
    if not cut.tag_exists:
        _commit_and_tag(_repository(cut.checkout), cut)
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{cut.name}.tar.gz"
    archive.write_bytes(_archive(cut))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    texts = {
        f"{cut.name}.tar.gz.sha256": f"{digest}  {archive.name}\n",
        f"{cut.name}.md": cut.notes,
        f"{cut.name}.spdx.json": json.dumps(spdx_document(cut.release), indent=1) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [archive, *(folder / name for name in texts)]


def describe(cut: Cut, folder: Path) -> str:
    """Return what cutting does, for people."""
    lines = [f"version {cut.version} of release {cut.release.name}"]
    if cut.tag_exists:
        lines.append(f"the tag {cut.tag} exists: only archive and notes are made again")
    else:
        lines += [f"write   {path.relative_to(cut.checkout)}" for path in cut.files]
        lines += [f"commit  Release {cut.version}", f"tag     {cut.tag}, annotated with the notes"]
    lines += [
        f"archive {folder / cut.name}.tar.gz, with .sha256",
        f"notes   {folder / cut.name}.md",
        f"SPDX    {folder / cut.name}.spdx.json",
        "",
        cut.notes,
    ]
    return "\n".join(lines)


def _repository(checkout: Path) -> Repo:
    from git import InvalidGitRepositoryError, NoSuchPathError, Repo

    try:
        return Repo(checkout)
    except (InvalidGitRepositoryError, NoSuchPathError) as error:
        raise ReleaseError(f"{checkout} is no git repository: clone the project and run the command there.") from error


def _text(repo: Repo, version: str, name: str) -> str:
    return str(repo.git.show(f"v{version}:{name}"))


def _problems(repo: Repo, release: Release, version: str, section: str | None) -> Iterator[str]:
    match = VERSION.fullmatch(version)
    if match is None:
        yield f"{version} is not YEAR.MONTH.PATCH, such as {release.name}.0"
    elif match[1] != release.name:
        yield f"{version} belongs to release {match[1]}, and the newest manifest is {release.name}"
    if repo.is_dirty():
        changed = ", ".join(sorted({item.a_path or "" for item in repo.index.diff(None)})[:5])
        yield f"tracked files have changes ({changed or 'in the index'}): commit them, or take them back"
    if repo.head.is_detached:
        yield "no branch is checked out: check out the branch that gets the commit"
    with repo.config_reader() as settings:
        for name in ("name", "email"):
            if not settings.get_value("user", name, ""):
                yield f"git does not know who makes the commit: git config user.{name} ..."
    if not section or not section.strip():
        yield f"{CHANGELOG} has no section {UNRELEASED} with an entry: write what changed"
    if not release.lock.is_file():
        yield f"there is no {release.lock.name}: run requirements/lock"


def _stale(checkout: Path, release: Release) -> Iterator[str]:
    """Yield the derived files that are not as the manifest has them."""
    target = checkout / "docs" / "releases" / f"{release.name}.md"
    if not target.is_file() or target.read_text() != page(release):
        yield f"{target.relative_to(checkout)} is out of date: exaworks release page {release.name} > that file"
    folder = checkout / "spack_repo" / "environments"
    for path, text in environment_files(release, folder, _scopes(checkout)).items():
        if not path.is_file() or path.read_text() != text:
            yield f"{path.relative_to(checkout)} is out of date: exaworks release environments"


def _scopes(checkout: Path) -> dict[str, Path]:
    """Return the Spack scopes of a checkout by system."""
    from site_configs.load import load_file
    from site_configs.scope import folder_of

    files = sorted(checkout.glob("site_configs/*/*.yaml"))
    scopes = {system.system: folder_of(system, path) for path in files for system in (load_file(path),)}
    return {name: scope for name, scope in scopes.items() if scope is not None}


def _section(changelog: str, heading: str) -> str | None:
    """Return the text below a heading of the changelog; None without it."""
    match = re.search(rf"^## {heading}[^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    return match[1].strip("\n") if match else None


def _notes(version: str, release: Release, section: str | None) -> str:
    """Return the notes: what changed, then the page of the release below it."""
    contents = re.sub(r"^#", "##", page(release), flags=re.MULTILINE)
    return f"# ExaWorks SDK {version}\n\n{section or ''}\n\n{contents}"


def _commit_and_tag(repo: Repo, cut: Cut) -> None:
    """Make commit and tag, or leave the repository as it was."""
    from git import GitError

    before = repo.head.commit.hexsha
    texts = {path: path.read_text() for path in cut.files}
    paths = [str(path) for path in cut.files]
    try:
        for path, text in cut.files.items():
            path.write_text(text)
        repo.git.commit("--quiet", "-m", f"Release {cut.version}", "--", *paths)
        repo.git.tag("--annotate", "--cleanup=verbatim", "-m", cut.notes, cut.tag)
    except GitError as error:
        repo.git.reset("--quiet", "--soft", before)
        for path, text in texts.items():
            path.write_text(text)
        repo.git.reset("--quiet", "--", *paths)
        raise ReleaseError(f"{cut.version}: git failed, and nothing was changed: {error}") from error


def _archive(cut: Cut) -> bytes:
    """Return the compressed archive of the tag. It has no time of its own: git gives every file that of the commit."""
    tree = ["git", "-C", str(cut.checkout), "archive", "--format=tar", f"--prefix={cut.name}/", cut.tag]
    try:
        packed = subprocess.run(tree, capture_output=True, check=True).stdout
        return subprocess.run(["gzip", "-n", "-9"], input=packed, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", b"") or str(error).encode()
        raise ReleaseError(
            f"{cut.tag} exists, but its archive could not be made: {reason.decode(errors='replace').strip()}. "
            "Run the same command again."
        ) from error
