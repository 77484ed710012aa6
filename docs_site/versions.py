"""The sites of several versions beside each other: a folder for each, and ``versions.json`` for the theme's menu."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from docs_site.build import build
from docs_site.errors import DocsError

LATEST = "latest"
"""The version of the checkout itself."""
_TAG = re.compile(r"v(\d+\.\d+)\.(\d+)")


def build_all(checkout: Path, target: Path, *, releases: bool, progress: Callable[[str], None]) -> list[str]:
    """Build the site of the checkout and, with ``releases``, of each tagged release. Return the versions, newest first.

    Only the newest tag of a release counts. A tag without ``mkdocs.yml`` is older than this site and is left out.

    Raises:
        DocsError: a site could not be built, or ``target`` contains something else than sites.
    """
    _clear(target)
    tags = release_tags(checkout) if releases else {}
    progress(f"building {LATEST}")
    build(checkout, target / LATEST)
    for name, tag in tags.items():
        progress(f"building {name} from {tag}")
        with _worktree(checkout, tag) as tree:
            build(tree, target / name)
    names = [LATEST, *tags]
    newest = names[1] if tags else LATEST
    entries = [{"version": name, "title": name, "aliases": []} for name in names]
    (target / "versions.json").write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    (target / "index.html").write_text(_redirect(newest), encoding="utf-8")
    return names


def release_tags(checkout: Path) -> dict[str, str]:
    """Return the newest tag of each release that has a site, newest release first: ``{"2026.11": "v2026.11.1"}``."""
    listed = _git(checkout, "tag", "--list", "v*").split()
    matches = [match for tag in listed if (match := _TAG.fullmatch(tag))]
    matches.sort(key=lambda match: tuple(int(part) for part in f"{match[1]}.{match[2]}".split(".")))
    newest = {match[1]: match[0] for match in matches}
    with_site = {
        name: tag for name, tag in newest.items() if _git(checkout, "ls-tree", "--name-only", tag, "mkdocs.yml")
    }
    return dict(reversed(with_site.items()))


@contextmanager
def _worktree(checkout: Path, tag: str) -> Iterator[Path]:
    """Check out a tag into a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        _git(checkout, "worktree", "add", "--quiet", "--detach", str(tree), tag)
        try:
            yield tree
        finally:
            _git(checkout, "worktree", "remove", "--force", str(tree))


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DocsError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _clear(target: Path) -> None:
    """Remove what an earlier build wrote, but never a folder with other contents."""
    if target.exists():
        if any(target.iterdir()) and not (target / "versions.json").is_file():
            raise DocsError(f"{target} contains something else than sites. Choose another folder with --to.")
        shutil.rmtree(target)
    target.mkdir(parents=True)


def _redirect(version: str) -> str:
    """Return the first page of all versions: it leads to one of them."""
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>ExaWorks SDK</title>\n'
        f'<meta http-equiv="refresh" content="0; url={version}/index.html">\n'
        f'<a href="{version}/index.html">Documentation of the ExaWorks SDK</a>\n</html>\n'
    )
