"""The texts that a cause is looked for in, and Python's tracebacks in them."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 500
"""Characters of a line that are kept."""


class Where(str, enum.Enum):
    """What a text is, which decides the rules that apply to it."""

    OUTPUT = "output"
    """The output of the payload, the texts in its answer, or the message of the harness about its end."""
    LOGS = "logs"
    """A log that a component wrote."""
    SCHEDULER = "scheduler"
    """What a scheduler answered: to a submission, or when it was asked about the job."""


@dataclass(frozen=True)
class Text:
    """A text, its ``name`` for people, and its ``owner``: the component or the kind of scheduler that wrote it.

    ``path`` is the copy of it, relative to the run's private folder; None if it is no file.
    """

    where: Where
    name: str
    content: str
    owner: str = ""
    path: str | None = None
    size: int = 0

    def lines(self) -> list[str]:
        """Return its lines without colours and surrounding space; an empty line stays, so that numbers are right."""
        return [_ESCAPE.sub("", line).strip()[:LONGEST] for line in self.content.splitlines()]


_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_FIRST = re.compile(r"^(?:\s*\|?\s*)Traceback \(most recent call last\):")
_EXCEPTION = re.compile(r"^(?P<name>(?:[A-Za-z_]\w*\.)*[A-Z_]\w*)(?:: |:?$)")
_CAUSED = re.compile(
    r"The above exception was the direct cause of|During handling of the above exception, another exception occurred"
)
_HANDLED = re.compile(r"\b(?:WARNING|WARN|INFO|DEBUG|TRACE)\b")
"""The level of a record of a log whose traceback is of an exception that the program handled."""
_FRAME = re.compile(r'^File "|^\^|^~|^\[Previous line repeated')


@dataclass(frozen=True)
class Raised:
    """An exception in a printed traceback: the number of the line that names it, and the line."""

    number: int
    line: str


def chains(lines: list[str]) -> list[list[Raised]]:
    """Return the chains of exceptions in printed tracebacks; each begins with its root, as Python prints it.

    Python prints ``__cause__`` and ``__context__`` before the exception that they led to.
    """
    return [chain for chain, handled in _chains(lines) if not handled]


def handled_lines(lines: list[str]) -> set[int]:
    """Return the numbers of the lines of tracebacks that a program logged as a warning or as less, and went on.

    RADICAL, for example, logs in every run why its adaptors for absent software cannot be used.
    """
    return {number for chain, handled in _chains(lines) if handled for number in range(handled, chain[-1].number + 1)}


def frames(lines: list[str]) -> set[int]:
    """Return the numbers of the lines of tracebacks that are no messages: calls, and the code below each.

    What another program printed in the middle of a traceback is not among them.
    """
    return {
        number
        for number, line in enumerate(lines)
        if _FIRST.search(line)
        or _FRAME.match(line)
        or (number and lines[number - 1].startswith('File "') and not _EXCEPTION.match(line))  # frozen code has no line
    }


def _chains(lines: list[str]) -> list[tuple[list[Raised], int]]:
    """Return each chain, and the number of the line after the log record that says it was handled; else 0."""
    found: list[tuple[list[Raised], int]] = []
    linked, first = False, 0
    for part, number in _parts(lines):
        if part == "link":
            linked = True
        elif part == "begin" and not linked:
            first = number if number and _HANDLED.search(lines[number - 1]) else 0
        elif part == "exception":
            raised = Raised(number, lines[number])
            if linked and found:
                found[-1][0].append(raised)
            else:
                found.append(([raised], first))
            linked = False
    return found


def _parts(lines: list[str]) -> Iterator[tuple[str, int]]:
    """Yield, with its number, the line that begins a traceback, the exception that ends it, and a link to the next."""
    inside = False
    for number, line in enumerate(lines):
        if _FIRST.search(line):
            inside = True
            yield "begin", number
        elif _CAUSED.search(line):
            yield "link", number
        elif inside and line and not _FRAME.match(line) and _EXCEPTION.match(line):
            inside = False
            yield "exception", number
