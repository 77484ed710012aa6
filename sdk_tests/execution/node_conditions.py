"""Reading what ``payloads/_conditions.py`` printed about a node. Standard library only: the agent uses it too."""

from __future__ import annotations

import json


def conditions(stdout: bytes) -> tuple[list[str], list[str]]:
    """Return the messages of the conditions that block every case, and those of the others.

    An answer that cannot be read has none: a node on which even that fails shows it in its first case.
    """
    lines = [line for line in stdout.decode(errors="replace").splitlines() if line.startswith("[")]
    try:
        listed = json.loads(lines[-1]) if lines else []
        return (
            [_printable(each["message"]) for each in listed if each["blocks"]],
            [_printable(each["message"]) for each in listed if not each["blocks"]],
        )
    except (ValueError, KeyError, TypeError):
        return [], []


def _printable(text: str) -> str:
    """Return a text in which a byte of a path that is not UTF-8 is written as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()
