"""Find Spack or clone it at the commit of a release, and run it one step at a time with its output in a log."""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exaworks_sdk.child_process import running
from exaworks_sdk.environment_step import MIN_FREE_BYTES
from exaworks_sdk.errors import InstallError
from exaworks_sdk.release import Checkout

HINTS = (
    (r"No space left on device", "The disk is full: free some space, or choose another folder with --prefix."),
    (r"Disk quota exceeded", "Your quota is used up: free some space, or choose another folder with --prefix."),
    (
        r"Could not resolve|unable to access|Connection (refused|timed out)|Network is unreachable|urlopen error"
        r"|All fetchers failed|[Cc]annot bootstrap",
        "Without a network, fill a source mirror elsewhere: see 'Without a network' in docs/spack.md.",
    ),
    (r"[Nn]o (available )?compilers?|no compiler|cannot (find|use) .*compiler", "Install gcc, or load its module."),
)
"""Patterns in the output of a step, and advice for the user; the first pattern that matches applies."""


class StepFailedError(Exception):
    """A step failed. ``reason``: its own error, at most two lines. ``hint``: what to do, or an empty text."""

    def __init__(self, reason: str, hint: str, log: Path | None) -> None:
        super().__init__(reason)
        self.reason, self.hint, self.log = reason, hint, log


@dataclass(frozen=True)
class Spack:
    """A Spack to run; ``own`` is true if it was cloned into the prefix, which then has its configuration too."""

    root: Path
    own: bool
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def program(self) -> Path:
        return self.root / "bin" / "spack"


def find(environ: Mapping[str, str]) -> Path | None:
    """Return the root of the Spack in ``$SPACK_ROOT`` or on PATH, or None.

    Raises:
        InstallError: ``$SPACK_ROOT`` names a folder without a Spack.
    """
    root = environ.get("SPACK_ROOT")
    if root:
        if not os.access(Path(root) / "bin" / "spack", os.X_OK):
            raise InstallError(f"SPACK_ROOT is {root}, which has no executable bin/spack. Unset it or correct it.")
        return Path(root)
    program = shutil.which("spack", path=environ.get("PATH"))
    return Path(program).resolve().parent.parent if program else None


def checkout(wanted: Checkout, folder: Path, log: Path) -> bool:
    """Check out one commit of a repository into a folder. Return False if it was there already, without changes.

    Raises:
        StepFailedError: git failed.
    """
    from git import GitCommandError, InvalidGitRepositoryError, NoSuchPathError, Repo

    try:
        repository = Repo(folder)
        if repository.head.is_valid() and repository.head.commit.hexsha == wanted.commit:
            if not repository.is_dirty():
                return False
            repository.git.checkout("--force", wanted.commit)
            return True
    except (InvalidGitRepositoryError, NoSuchPathError):
        repository = Repo.init(folder, mkdir=True)
    try:
        # Some servers do not serve a single commit: then fetch all branches and tags.
        try:
            repository.git.fetch("--depth=1", wanted.url, wanted.commit)
        except GitCommandError:
            repository.git.fetch(wanted.url, "+refs/heads/*:refs/remotes/origin/*", "--tags")
        repository.git.checkout("--force", "--detach", wanted.commit)
    except GitCommandError as error:
        output = f"{error.stderr or ''}\n{error.stdout or ''}".replace("stderr: '", "").strip().strip("'")
        text = f"$ {shlex.join(map(str, error.command))}\n{output}\n"
        raise StepFailedError(*_reason_and_hint(output, folder), _write_log(text, log)) from error
    return True


def commit_of(folder: Path) -> str | None:
    """Return the commit of the git repository that contains a folder; None if it is in none."""
    from git import GitError, Repo

    try:
        return Repo(folder, search_parent_directories=True).head.commit.hexsha
    except (GitError, ValueError):
        return None


def builtin(spack: Spack, log: Path) -> Path:
    """Return the folder of the repository of Spack's packages that a Spack is configured with.

    Raises:
        StepFailedError: Spack does not run, or has no such repository.
    """
    lines: list[str] = []
    code = "import spack.repo; print(spack.repo.PATH.get_repo('builtin').root)"
    run(spack, ["python", "-c", code], log, lines.append)
    if not lines:
        raise StepFailedError("Spack did not print where its packages are", "", log)
    return Path(lines[-1])


def run(spack: Spack, arguments: list[str], log: Path, each_line: Callable[[str], None] = lambda line: None) -> None:
    """Run Spack with its output in a log, and pass every line to ``each_line`` at once.

    Raises:
        StepFailedError: Spack failed or could not be started.
    """
    command = [str(spack.program), "--color=never", *arguments]
    output: list[str] = []
    try:
        with log.open("w") as log_file:
            log_file.write(f"$ {shlex.join(command)}\n")
            log_file.flush()
            with running(
                command,
                ended_by=signal.SIGINT,  # only then does Spack release its locks and remove incomplete installations
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **spack.environ},
                text=True,
                errors="replace",
            ) as process:
                for line in process.stdout or ():
                    log_file.write(line)
                    log_file.flush()
                    output.append(line.rstrip("\n"))
                    each_line(output[-1])
                code = process.wait()
    except OSError as error:
        reason = "No space left on device" if error.errno == errno.ENOSPC else str(error)
        raise StepFailedError(*_reason_and_hint(reason, log.parent), log) from error
    if code != 0:
        raise StepFailedError(*_reason_and_hint("\n".join(output) or f"exit code {code}", log.parent), log)


def advice(output: str) -> str:
    """Return what to do about an error, or an empty text."""
    return next((hint for pattern, hint in HINTS if re.search(pattern, output)), "")


def _write_log(text: str, log: Path) -> Path | None:
    """Write a log and return its path. Return None if it cannot be written, so that the first error is reported."""
    try:
        log.write_text(text)
    except OSError:
        return None
    return log


def _reason_and_hint(output: str, folder: Path) -> tuple[str, str]:
    """Return the reason of a failure, at most two lines, and what to do about it or an empty text."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    first = next((index for index, line in enumerate(lines) if re.match(r"(==> )?(Error|fatal|error):", line)), None)
    chosen = lines[first : first + 2] if first is not None else lines[-2:]
    reason = "\n".join(line.removeprefix("==> ") for line in chosen) or "no reason given"
    hint = advice(output)
    if shutil.disk_usage(folder).free < MIN_FREE_BYTES:
        hint = HINTS[0][1]
    return reason, hint
