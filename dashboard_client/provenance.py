"""Which harness produced a record: its version and, in a checkout, the git commit."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from dashboard_client.schema import Harness

if TYPE_CHECKING:
    from git import Repo


def harness(checkout: Path | None, version: str, config_digest: str | None) -> Harness:
    """Describe the harness. What git does not report is null: no git, no repository, or one of another owner."""
    commit, dirty, remote = _state(checkout) if checkout is not None else (None, None, None)
    return Harness(version=version, commit=commit, dirty=dirty, remote=remote, config_digest=config_digest)


def _state(checkout: Path) -> tuple[str | None, bool | None, str | None]:
    try:
        import git  # slow to import, and raises where there is no git program
    except ImportError:
        return None, None, None
    if os.environ.get("GIT_DIR"):
        return None, None, None  # inside a git hook, git would describe the hook's repository instead of this one
    try:
        with git.Repo(checkout) as repo:
            repo.git.update_environment(GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0")
            commit = repo.git.rev_parse("--verify", "HEAD")
            # not is_dirty(): it runs `git diff`, which always rewrites the index
            changed = repo.git.status("--porcelain", "--untracked-files=normal")
            return commit, bool(changed), _remote(repo)
    except (git.exc.GitError, OSError, ValueError):
        return None, None, None


def _remote(repo: Repo) -> str | None:
    """Return the address of ``origin``, else of the first remote, without credentials."""
    names = [remote.name for remote in repo.remotes]
    if not names:
        return None
    return without_credentials(repo.remote("origin" if "origin" in names else names[0]).url)


def without_credentials(url: str) -> str:
    """Remove user, password, query and fragment from a remote's address; the user ``git`` is kept."""
    if "://" not in url:
        return re.sub(r"^[^@/]*@", lambda user: "git@" if user[0] == "git@" else "", url)
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, f"git@{host}" if user == "git" else host, parts.path, "", ""))
