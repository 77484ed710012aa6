"""A tutorial as a Jupyter notebook: format 4.5, written as JSON, since nothing else of the format is needed."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from exaworks_sdk.tutorials.page import Block, Output, Prose, blocks

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
SHELL = "%%bash -euo pipefail"
"""The first line of a cell with commands. They run in the environment of the server, not of the kernel."""

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?://)([^)#\s]+)(#[^)\s]*)?\)")


def notebook(name: str, page: str) -> dict[str, Any]:
    """Return the notebook of a page.

    A file becomes a cell that writes it, commands become a cell that bash runs, and what they print is the output of
    that cell already, so that the notebook can be read before it is run.
    """
    cells: list[dict[str, Any]] = []
    for part in blocks(page):
        if isinstance(part, Prose):
            cells.append({"cell_type": "markdown", "source": _links(part.text)})
        elif isinstance(part, Block):
            first = f"%%writefile {part.file}" if part.file else SHELL
            cells.append({"cell_type": "code", "source": f"{first}\n{part.text}".rstrip("\n"), "outputs": []})
        elif isinstance(part, Output):
            cells[-1]["outputs"].append({"output_type": "stream", "name": "stdout", "text": part.text})
    for number, cell in enumerate(cells):
        cell["id"] = hashlib.sha256(f"{name} {number}".encode()).hexdigest()[:12]
        cell["metadata"] = {}
        if cell["cell_type"] == "code":
            cell["execution_count"] = None
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": KERNEL, "language_info": {"name": "python"}, "exaworks": {"source": f"{name}.md"}},
        "cells": cells,
    }


def as_json(document: dict[str, Any]) -> str:
    """Return the text of a notebook's file."""
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _links(text: str) -> str:
    """Make links to other tutorials lead to their notebooks; a page that is not in the folder is only named."""
    return _LINK.sub(_link, text)


def _link(match: re.Match[str]) -> str:
    label, target, anchor = match[1], match[2], match[3] or ""
    if "/" in target:
        return f"{label} (`{re.sub(r'^(../)+', 'docs/', target)}` in the repository)"
    return f"[{label}]({target.removesuffix('.md')}.ipynb{anchor})"
