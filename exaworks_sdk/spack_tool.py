"""Spack as a program: found or cloned at a release's commit, and run one step at a time with its output in a log."""

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

from exaworks_sdk.environment import ROOM
from exaworks_sdk.errors import InstallError
from exaworks_sdk.release import Checkout

HINTS = (
    (r"No space left on device", "The disk is full: free some space, or name another folder with --prefix."),
    (r"Disk quota exceeded", "Your quota is used up: free some space, or name another folder with --prefix."),
    (
        r"Could not resolve|unable to access|Connection (refused|timed out)|Network is unreachable|urlopen error"
        r"|All fetchers failed|[Cc]annot bootstrap",
        "Is there no network? Fill a source mirror elsewhere: docs/spack.md, Without a network.",
    ),
    (r"[Nn]o (available )?compilers?|no compiler|cannot (find|use) .*compiler", "Install gcc, or load its module."),
)
"""Patterns of what a step prints, and what to do about it; the first that fits is shown."""


class StepFailedError(Exception):
    """One step failed: ``reason`` is its own, in two lines at most, and ``hint`` may say what to do."""

    def __init__(self, reason: str, hint: str, log: Path | None) -> None:
        super().__init__(reason)
        self.reason, self.hint, self.log = reason, hint, log


@dataclass(frozen=True)
class Spack:
    """A Spack to run: ``own`` where it was cloned here, and then its configuration lies here too."""

    root: Path
    own: bool
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def program(self) -> Path:
        return self.root / "bin" / "spack"


def present(environ: Mapping[str, str]) -> Path | None:
    """Return the root of the Spack that ``$SPACK_ROOT`` or PATH names, or None.

    Raises:
        InstallError: ``$SPACK_ROOT`` names a folder without a Spack.
    """
    named = environ.get("SPACK_ROOT")
    if named:
        if not os.access(Path(named) / "bin" / "spack", os.X_OK):
            raise InstallError(f"SPACK_ROOT is {named}, where no bin/spack can be run. Unset it, or name a Spack.")
        return Path(named)
    found = shutil.which("spack", path=environ.get("PATH"))
    return Path(found).resolve().parent.parent if found else None


def checkout(wanted: Checkout, folder: Path, log: Path) -> bool:
    """Bring a repository's one commit into a folder; True where it was not there yet.

    Raises:
        StepFailedError: git could not.
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
        # Servers give a single commit where they are allowed to, else all of it.
        try:
            repository.git.fetch("--depth=1", wanted.url, wanted.commit)
        except GitCommandError:
            repository.git.fetch(wanted.url, "+refs/heads/*:refs/remotes/origin/*", "--tags")
        repository.git.checkout("--force", "--detach", wanted.commit)
    except GitCommandError as error:
        said = f"{error.stderr or ''}\n{error.stdout or ''}".replace("stderr: '", "").strip().strip("'")
        text = f"$ {shlex.join(map(str, error.command))}\n{said}\n"
        raise StepFailedError(*_why(said, folder), _kept(text, log)) from error
    return True


def run(spack: Spack, arguments: list[str], log: Path, each_line: Callable[[str], None] = lambda line: None) -> None:
    """Run Spack with its output in a log, and give every line to ``each_line`` as it comes.

    Raises:
        StepFailedError: it could not be started or failed.
    """
    command = [str(spack.program), "--color=never", *arguments]
    said: list[str] = []
    try:
        with log.open("w") as kept:
            kept.write(f"$ {shlex.join(command)}\n")
            kept.flush()
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **spack.environ},
                text=True,
                errors="replace",
                start_new_session=True,
            ) as process:
                try:
                    for line in process.stdout or ():
                        kept.write(line)
                        kept.flush()
                        said.append(line.rstrip("\n"))
                        each_line(said[-1])
                    code = process.wait()
                except BaseException:
                    # The one signal on which Spack lets go of its locks and removes what is half installed.
                    os.killpg(process.pid, signal.SIGINT)
                    process.wait()
                    raise
    except OSError as error:
        full = "No space left on device" if error.errno == errno.ENOSPC else str(error)
        raise StepFailedError(*_why(full, log.parent), log) from error
    if code != 0:
        raise StepFailedError(*_why("\n".join(said) or f"exit code {code}", log.parent), log)


def advice(said: str) -> str:
    """Return what to do about an error, or nothing."""
    return next((hint for sign, hint in HINTS if re.search(sign, said)), "")


def _kept(text: str, log: Path) -> Path | None:
    """Write a log; None where even that cannot be written, since what failed before it is what counts."""
    try:
        log.write_text(text)
    except OSError:
        return None
    return log


def _why(said: str, folder: Path) -> tuple[str, str]:
    """Return (the reason in two lines at most, what to do about it or nothing)."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    first = next((at for at, line in enumerate(lines) if re.match(r"(==> )?(Error|fatal|error):", line)), None)
    chosen = lines[first : first + 2] if first is not None else lines[-2:]
    reason = "\n".join(line.removeprefix("==> ") for line in chosen) or "no reason given"
    hint = advice(said)
    if shutil.disk_usage(folder).free < ROOM:
        hint = HINTS[0][1]
    return reason, hint
