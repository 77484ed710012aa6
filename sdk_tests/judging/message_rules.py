"""Messages of the operating system that say whose fault a failure is, as data.

A payload that fails because of the machine fails with the machine's words: the text of an errno (errno(3)), a message
of the dynamic loader (ld.so(8)) or of Python about a resource limit. The component that raised it is not at fault.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from dashboard_client.schema import CauseClass, Outcome


@dataclass(frozen=True)
class MessageRule:
    """A message and what it means. ``pattern`` is matched with each line of output, the last matching line counts."""

    rule: str
    pattern: str
    outcome: Outcome
    cls: CauseClass

    def find(self, text: str) -> str | None:
        """Return the last line that matches, or None."""
        lines = [line.strip() for line in text.splitlines() if re.search(self.pattern, line)]
        return lines[-1][:500] if lines else None


def _site(rule: str, pattern: str) -> MessageRule:
    return MessageRule(rule, pattern, Outcome.INFRA, CauseClass.SITE)


def _distribution(rule: str, pattern: str) -> MessageRule:
    return MessageRule(rule, pattern, Outcome.FAIL, CauseClass.DISTRIBUTION)


RULES: tuple[MessageRule, ...] = (
    _site("disk-full", r"No space left on device|Disk quota exceeded|\bENOSPC\b|\bEDQUOT\b"),
    _site("file-system", r"Stale (?:NFS )?file handle|\bESTALE\b|Input/output error|\bEIO\b|Remote I/O error"),
    _site("file-system", r"Read-only file system|\bEROFS\b|Transport endpoint is not connected"),
    _site("file-system", r"Structure needs cleaning|Cannot send after transport endpoint shutdown"),
    _site(
        "out-of-memory",
        r"Cannot allocate memory|\bENOMEM\b|^MemoryError\b|std::bad_alloc|oom[-_ ]kill|Out [Oo]f [Mm]emory",
    ),
    _site("resource-limit", r"Too many open files|\bEMFILE\b|\bENFILE\b"),
    _site("resource-limit", r"can't start new thread|pthread_create failed|\bEAGAIN\b"),
    _site("resource-limit", r"(?:fork|clone|spawn|thread|process)\b.*Resource temporarily unavailable"),
    _site("resource-limit", r"^BlockingIOError: \[Errno 11\] Resource temporarily unavailable"),
    _site("unknown-user", r"getpw(?:uid|nam)\S*:? .*(?:uid|name) not found|I have no name!|no such user"),
    _site("unknown-user", r"cannot find name for user ID|No user exists for uid|Could not determine home directory"),
    _distribution("system-library", r"version `?(?:GLIBC|GLIBCXX|CXXABI)_[\w.]+'? not found"),
    _distribution(
        "import-failed", r"^(?:ModuleNotFoundError|ImportError|pkg_resources\.\w+|importlib\.metadata\.\w+): "
    ),
    _distribution("wrong-architecture", r"[Ee]xec format error|wrong ELF class|cannot execute binary file"),
)
"""From the most specific to the least; the first rule that matches counts."""

SIGNALS: dict[int, MessageRule] = {
    signal.SIGILL: _distribution("wrong-architecture", ""),
    signal.SIGBUS: _site("file-system", ""),
}
"""Signals that are not the program's own fault: an instruction that this processor lacks, an unreadable file."""


def matches(text: str) -> Iterator[tuple[MessageRule, str]]:
    """Yield each rule that matches a text, with the line."""
    for rule in RULES:
        line = rule.find(text)
        if line is not None:
            yield rule, line
