"""The files that an installation has below ``share``: manual pages and scripts for completion."""

from __future__ import annotations

from collections.abc import Mapping

from exaworks_sdk.manual.commands import installed_group, pages_of
from exaworks_sdk.manual.completion import completion_files
from exaworks_sdk.manual.man import manual_pages


def shared_files(points: Mapping[str, str], version: str) -> dict[str, str]:
    """Return each file's text by its path below the prefix, for the commands of these entry points."""
    from exaworks_sdk.cli import main

    pages = manual_pages(pages_of(installed_group(main, points)), version)
    return {**{f"share/man/man1/{name}": f"{text}\n" for name, text in pages.items()}, **completion_files()}
