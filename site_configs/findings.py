"""What a comparison of a site file with its machine came to, and how it is shown.

A *difference* is something a run would trip over: a queue that is gone, a limit below the file's, a missing module. A
*note* is what the machine allows beyond the file: harmless to a run, but the file is no longer the whole truth. What
nobody could be asked about is listed as *unchecked*, so that silence is never taken for agreement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from site_configs.document import Key, dotted, read


@dataclass(frozen=True)
class Difference:
    """One thing that is otherwise than the file says; ``file`` is what it says, ``machine`` what was found."""

    key: Key
    file: str
    machine: str

    @property
    def name(self) -> str:
        """The key as people write it."""
        return dotted(self.key)


@dataclass
class Findings:
    """What a comparison came to; ``checked`` counts the statements of the file that the machine bears out."""

    differences: list[Difference] = field(default_factory=list)
    notes: list[Difference] = field(default_factory=list)
    unchecked: list[tuple[str, str]] = field(default_factory=list)
    checked: int = 0

    def differ(self, key: Key, file: object, machine: str) -> None:
        self.differences.append(Difference(key, str(file), machine))

    def note(self, key: Key, file: object, machine: str) -> None:
        self.notes.append(Difference(key, str(file), machine))

    def skip(self, key: Key, why: str) -> None:
        self.unchecked.append((dotted(key), why))

    def ok(self) -> None:
        self.checked += 1


def diff(findings: Findings, file: Path) -> Iterator[str]:
    """Write the differences and notes as a diff: the key and its line, ``-`` the file, ``+`` the machine."""
    document = read(file.read_text(encoding="utf-8"))
    for what, entries in (("", findings.differences), (" (note)", findings.notes)):
        for entry in entries:
            where = "" if entry.key[:1] == ("spack_scope",) else f"{file}:{document.line(entry.key)}: "
            yield f"{where}{entry.name}{what}"
            yield f"- {entry.file}"
            yield f"+ {entry.machine}"
