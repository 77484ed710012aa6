"""What MkDocs calls while it builds the site: it adds the generated pages and prepares the Markdown of all pages."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from docs_site import checkout_pages, markdown, reference  # noqa: E402
from exaworks_sdk.tutorials import as_json, notebook, pages  # noqa: E402

FOLDERS = ("reference/commands", "releases")
"""Entries of the navigation that stand for all pages of a folder."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace each folder in the navigation by its pages."""
    generated = _pages()
    nav: list[Any] = config.nav or []
    for part in nav:
        for entries in part.values():
            for entry in entries:
                for title, target in entry.items() if isinstance(entry, dict) else ():
                    if target in FOLDERS:
                        entry[title] = _listing(target, generated)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, the schemas and the notebooks."""
    from mkdocs.structure.files import File

    content = {**_pages(), **reference.files()}
    for name, path in pages().items():
        content[f"tutorials/{name}.ipynb"] = as_json(notebook(name, path.read_text(encoding="utf-8")))
    for path_in_site, text in content.items():
        files.append(File.generated(config, path_in_site, content=text))
    return files


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Prepare a page: names of files become titles of code blocks, and a tutorial links to its notebook."""
    path = page.file.src_uri
    text = markdown.plain_bars(markdown.titled_blocks(text))
    if not path.startswith("reference/"):
        text = checkout_pages.site_links(text, path)
    if re.fullmatch(r"tutorials/(?!README)[\w-]+\.md", path):
        text = markdown.with_notebook(text, Path(path).stem)
    return text


def _pages() -> dict[str, str]:
    return {**reference.pages(), **checkout_pages.pages()}


def _listing(folder: str, generated: dict[str, str]) -> list[Any]:
    """Return the navigation of a folder: its first page, then the others by name, newest release first."""
    on_disk = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs" / folder).glob("*.md")}
    names = sorted(
        {path for path in generated if path.startswith(f"{folder}/")} | on_disk, reverse=folder == "releases"
    )
    first = f"{folder}/index.md"
    others = [name for name in names if name != first]
    return [*([first] if first in names else []), *({Path(name).stem: name} for name in others)]
