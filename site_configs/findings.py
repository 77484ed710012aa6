"""The result of comparing a site file with its machine, and its display as a diff.

A *difference* makes a run fail: a queue that no longer exists, a limit below the file's, a missing module. A *note*
names what the machine allows beyond the file: it does not harm a run, but the file is out of date. A statement that
could not be compared is *unchecked*, so that a missing answer is never counted as agreement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from site_configs.document import Key, dotted, read


@dataclass(frozen=True)
class Difference:
    """One statement that differs: ``file`` is the value in the file, ``machine`` the one on the machine."""

    key: Key
    file: str
    machine: str

    @property
    def name(self) -> str:
        """The key as people write it, such as ``node.count``."""
        return dotted(self.key)


@dataclass
class Findings:
    """The result of a comparison; ``checked`` counts the statements of the file that the machine confirms."""

    differences: list[Difference] = field(default_factory=list)
    notes: list[Difference] = field(default_factory=list)
    unchecked: list[tuple[str, str]] = field(default_factory=list)
    checked: int = 0

    def differ(self, key: Key, file: object, machine: str) -> None:
        self.differences.append(Difference(key, str(file), machine))

    def note(self, key: Key, file: object, machine: str) -> None:
        self.notes.append(Difference(key, str(file), machine))

    def skip(self, key: Key, reason: str) -> None:
        self.unchecked.append((dotted(key), reason))

    def ok(self) -> None:
        self.checked += 1


def diff(findings: Findings, file: Path) -> Iterator[str]:
    """Yield the lines of a diff: each key with its line, then ``-`` the value in the file, ``+`` the machine's."""
    document = read(file.read_text(encoding="utf-8"))
    for mark, entries in (("", findings.differences), (" (note)", findings.notes)):
        for entry in entries:
            where = "" if entry.key[:1] == ("spack_scope",) else f"{file}:{document.line(entry.key)}: "
            yield f"{where}{entry.name}{mark}"
            yield f"- {entry.file}"
            yield f"+ {entry.machine}"
