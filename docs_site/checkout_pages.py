"""Pages of the checkout that are not in ``docs/``: they are part of the site, with their links adapted."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from exaworks_sdk.release import load, names

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE: Mapping[str, str] = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "requirements/README.md": "lock-files.md",
}
"""Pages by their path in the checkout, and their path in the site. The site's first page takes the place of README."""

_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(#[^)\s]*)?\)")


def pages() -> dict[str, str]:
    """Return the pages by their path in the site, among them the list of releases."""
    taken = {
        site: adapted((ROOT / source).read_text(encoding="utf-8"), source)
        for source, site in OUTSIDE.items()
        if site != "index.md"
    }
    return {**taken, "releases/index.md": _releases()}


def adapted(text: str, source: str) -> str:
    """Return a page with links that are right in the site. A file that the site lacks is only named."""

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        anchor = match[2] or ""
        if target in OUTSIDE:
            return f"]({OUTSIDE[target]}{anchor})"
        return f"]({target.removeprefix('docs/')}{anchor})"

    return _LINK.sub(link, text)


def _releases() -> str:
    lines = [f"- [{name}]({name}.md): {len(load(name).components)} components" for name in names()]
    return "\n".join(("# Releases", "", "The versions that a release tests together, newest first.", "", *lines, ""))
