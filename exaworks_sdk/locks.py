"""Lock files: pip requirements with a version, markers and hashes for every distribution."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path


def canonical(distribution: str) -> str:
    """Return the name of a distribution as locks write it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def pins(lock: Path) -> list[tuple[str, str]]:
    """Return the distributions of a lock file, each with its lines: version, markers and hashes."""
    return pins_of(lock.read_text())


def pins_of(lock: str) -> list[tuple[str, str]]:
    """Return the distributions in the text of a lock, as ``pins`` does."""
    blocks: list[tuple[str, str]] = []
    for line in lock.splitlines(keepends=True):
        if line[:1].isalnum():
            blocks.append((line.partition("==")[0], line))
        elif line.startswith("    --hash") and blocks:
            name, block = blocks[-1]
            blocks[-1] = (name, block + line)
    return blocks


def part(lock: str, *, only: Collection[str] | None = None, without: Collection[str] = ()) -> str:
    """Return the text of a lock with only some distributions, or without some."""
    return "".join(block for name, block in pins_of(lock) if (only is None or name in only) and name not in without)


def with_hashes(lock: str, added: Mapping[str, str]) -> str:
    """Return the text of a lock in which distributions have further hashes.

    added: by name, the lines of the same distribution in another lock; another version adds nothing.
    """
    blocks = []
    for name, block in pins_of(lock):
        first, *hashes = _lines(block)
        other, *others = _lines(added.get(name, first))
        if other.split()[0] == first.split()[0]:
            hashes = list(dict.fromkeys([*hashes, *others]))
        blocks.append(" \\\n    ".join([first, *hashes]) + "\n")
    return "".join(blocks)


def _lines(block: str) -> list[str]:
    return [line.rstrip(" \\").strip() for line in block.splitlines()]
