"""A tutorial's Markdown page: its prose, the files that the reader writes, the commands, and what they print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exaworks_sdk.errors import TutorialsError
from exaworks_sdk.paths import checkout

_FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$\n?", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Prose:
    """Markdown between two blocks."""

    text: str


@dataclass(frozen=True)
class Block:
    """A file to write, if ``file`` names one, or commands for bash."""

    text: str
    language: str
    file: str | None = None


@dataclass(frozen=True)
class Output:
    """What the commands before it print; ``…`` stands for text that differs from run to run."""

    text: str


def blocks(page: str) -> Iterator[Prose | Block | Output]:
    """Return the parts of a page in their order.

    Raises:
        TutorialsError: a code block is neither a file nor ``sh`` nor ``text``, or an output has no commands before it.
    """
    end, commands = 0, False
    for match in _FENCE.finditer(page):
        prose = page[end : match.start()].strip("\n")
        if prose:
            yield Prose(prose)
        language, file, text = match.groups()
        if language == "text" and not commands:
            raise TutorialsError(f"an output without commands before it:\n{text}")
        if language not in ("sh", "text") and not file:
            raise TutorialsError(f"a code block of a tutorial is a file, sh or text, not {language}")
        commands = language == "sh" and not file
        yield Output(text) if language == "text" and not file else Block(text, language, file)
        end = match.end()
    if page[end:].strip("\n"):
        yield Prose(page[end:].strip("\n"))


def pages() -> dict[str, Path]:
    """Return the tutorials by name, with ``README`` first: those of the checkout, else those of the installation.

    Raises:
        TutorialsError: there are none.
    """
    root = checkout()
    folder = root / "docs" / "tutorials" if root is not None else Path(__file__).parent / "pages"
    found = {path.stem: path for path in sorted(folder.glob("*.md"), key=lambda path: (path.stem != "README", path))}
    if not found:
        raise TutorialsError(f"there are no tutorials in {folder}. Reinstall exaworks-sdk.")
    return found
