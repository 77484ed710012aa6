"""Changes of a page's Markdown for the site: the pages in the repository are written for any reader of Markdown."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^```(\w+) (?!title=)(\S+)$", re.MULTILINE)
_ROW = re.compile(r"^ *\|.*\|$", re.MULTILINE)
_CODE = re.compile(r"`+[^`]+`+")
_HEADING = re.compile(r"^# .+\n", re.MULTILINE)


def titled_blocks(text: str) -> str:
    """Write the name of a file after the language of a code block (```` ```python hello.py````) as its title."""
    return _FENCE.sub(r'```\1 title="\2"', text)


def plain_bars(text: str) -> str:
    """Write ``\\|`` in code in a table as a plain bar: Python-Markdown shows the backslash, unlike other renderers."""
    return _ROW.sub(lambda row: _CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0]), text)


def with_notebook(text: str, name: str) -> str:
    """Add the link to a tutorial's notebook below its heading."""
    line = f"\n[This page as a notebook]({name}.ipynb){{ download }}. `exaworks tutorials` opens all in JupyterLab.\n"
    return _HEADING.sub(lambda match: match[0] + line, text, count=1)
