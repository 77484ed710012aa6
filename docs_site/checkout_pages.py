"""Pages of the checkout that are not in ``docs/``, and links to them: the site has them at other places.

A page in the repository links to files of the repository. In the site, a link to a module leads to the page that is
generated from it; a link to a file that the site lacks is only text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from exaworks_sdk.release import load, names

ROOT = Path(__file__).resolve().parent.parent
TAKEN: Mapping[str, str] = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "requirements/README.md": "lock-files.md",
}
"""Pages by their path in the checkout, and their path in the site."""

MOVED: Mapping[str, str] = {
    **TAKEN,
    "README.md": "index.md",
    "README.md#commands": "reference/commands/index.md",
    "collector/api/openapi.py": "reference/http.md",
    "dashboard_client/schema.py": "reference/record.md",
    "docs/releases": "releases/index.md",
    "docs_site/reference": "reference/index.md",
    "exaworks_sdk/variables.py": "reference/variables.md",
    "sdk_tests/api.py": "reference/cases.md",
    "sdk_tests/diagnosis/rules": "reference/rules.md",
    "sdk_tests/report/view.py": "reference/exit-codes.md",
    "site_configs/schema.py": "reference/site-file.md",
}
"""Paths in the checkout, with or without an anchor, and the page of the site that takes their place."""

_LINK = re.compile(r"(?<!!)\[([^\]\n]*(?:\n[^\]\n]*)?)\]\((?!https?://|mailto:|#)([^)#\s]*)(#[^)\s]*)?\)")


def pages() -> dict[str, str]:
    """Return the pages by their path in the site, among them the list of releases."""
    taken = {site: (ROOT / source).read_text(encoding="utf-8") for source, site in TAKEN.items()}
    return {**taken, "releases/index.md": _releases()}


def source_of(page: str) -> str:
    """Return the path in the checkout of a page of the site."""
    return {site: source for source, site in TAKEN.items()}.get(page, f"docs/{page}")


def site_links(text: str, page: str) -> str:
    """Return the text of a page of the site, with the links of the repository changed to links of the site."""
    folder = posixpath.dirname(source_of(page))

    def link(match: re.Match[str]) -> str:
        label, anchor = match[1], match[3] or ""
        source = posixpath.normpath(posixpath.join(folder, match[2]))
        target = MOVED.get(source + anchor)
        if target is not None:
            anchor = ""
        elif source in MOVED:
            target = MOVED[source]
        elif source.startswith("docs/"):
            target = source.removeprefix("docs/")
        else:
            return label
        return f"[{label}]({posixpath.relpath(target, posixpath.dirname(page) or '.')}{anchor})"

    return _LINK.sub(link, text)


def _releases() -> str:
    lines = [f"- [{name}]({name}.md): {len(load(name).components)} components" for name in names()]
    return "\n".join(("# Releases", "", "The versions that a release tests together, newest first.", "", *lines, ""))
