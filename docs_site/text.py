"""Markdown of generated pages."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; a cell may contain line breaks and vertical bars."""
    lines = [_row(headers), "|" + "---|" * len(headers)]
    return "\n".join([*lines, *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def code(text: str) -> str:
    """Return text in a code span, which shows it unchanged."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def prose(docstring: str | None) -> str:
    """Return a docstring in Markdown: literals of reStructuredText become code, and a block of code stays one."""
    text = re.sub(r"``([^`]+)``", r"`\1`", inspect.cleandoc(docstring or ""))
    return re.sub(r"::\n\n(?=    )", ":\n\n", text)
