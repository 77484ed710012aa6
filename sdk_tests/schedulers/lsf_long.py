"""Read the long listing of LSF, ``bjobs -l``, where bjobs has no ``-json``: OpenLava, and LSF before 10.1.0.3.

The listing is text for people. Each job is a block that begins with ``Job <7>, Job Name <x>, User <u>, ...``. bjobs
breaks lines after 79 characters, wherever that is, and indents the rest by 21 spaces; a space at the break is lost.
The function returns the columns that ``bjobs -json`` has, so that one function evaluates both.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

INDENT = " " * 21
BREAK = "\0"
"""Marks the place of a line break of bjobs, where a space may be missing."""
MOST_BREAKS = 8
"""Line breaks in the path of a folder up to which spaces that may be missing there are tried out."""

_RULER = re.compile(r"-{20,}")
_FIRST = re.compile(r"Job <(\d{1,18}(?:\[\d{1,18}\])?)>,", re.ASCII)
_HEAD = re.compile(
    r"Job\s*<([^>]*)>,\s*(?:Job\s*Name\s*<(.*?)>,\s*)?(?:[A-Z][A-Za-z ]*<[^>]*>,\s*)*?User\s*<([^>]*)>,", re.DOTALL
)
_STAT = re.compile(r",\s*Status\s*<(\w+)>")
_EVENT = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d{2}):(\d{2}):(\d{2})(?: (\d{4}))?: (.*)", re.DOTALL)
_FOLDER = re.compile(r"CWD[ \0]*<(.*?)>(?:[,;]|$)", re.DOTALL)
_STARTED = re.compile(r"(?:\[\d+\]\s*)?(started|dispatched)\b(.*)", re.IGNORECASE | re.DOTALL)
_CODE = re.compile(r"Exited\s*with\s*exit\s*code\s*(\d+)")
_SIGNAL = re.compile(r"Exited\s*by\s*signal\s*(\d+)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def read_long(text: str, home: str) -> list[dict[str, str]]:
    """Return a row for each job of a long listing; a block that cannot be read has no row.

    home: the home folder of this user, which bjobs abbreviates to ``$HOME``. Rows have the columns JOBID, JOB_NAME,
    USER, STAT, SUB_CWD, EXEC_HOST, EXIT_CODE, EXIT_REASON and PEND_REASON, and SUBMITTED, STARTED and ENDED in seconds
    since the epoch. The year of a time is not in the listing; it is the last one in which the time is not in the
    future.
    """
    rows = []
    for block in _blocks(text):
        try:
            row = _row(_logical_lines(block), home)
        except (ValueError, OverflowError, OSError):
            row = None
        if row is not None:
            rows.append(row)
    return rows


def _blocks(text: str) -> Iterator[list[str]]:
    """Yield the lines of each job. Only the first line or one after an empty line or a ruler can begin a block.

    A ruler ends a block, so that the lines of a job without a first line are not taken for those of the job before.
    """
    block: list[str] = []
    before = ""
    for line in text.split("\n"):
        begins = _FIRST.match(line) and (not before.strip() or _RULER.fullmatch(before.strip()))
        if block and (begins or _RULER.fullmatch(line.strip())):
            yield block
            block = []
        if begins:
            block = [line]
        elif block:
            block.append(line)
        before = line
    if block:
        yield block


def _logical_lines(block: list[str]) -> list[str]:
    lines: list[str] = []
    for line in block:
        if line.startswith(INDENT) and lines:
            lines[-1] += BREAK + line[len(INDENT) :]
        else:
            lines.append(line)
    return lines


def _row(lines: list[str], home: str) -> dict[str, str] | None:
    first = lines[0].replace(BREAK, "")
    head = _HEAD.match(first)
    stat = _STAT.search(first, head.end()) if head else None
    if head is None or stat is None or not _FIRST.match(first):
        return None
    row = {"JOBID": head[1], "JOB_NAME": head[2] or "", "USER": head[3], "STAT": stat[1]}
    for number, line in enumerate(lines[1:], 1):
        event = _EVENT.match(line)
        if event:
            _add_event(row, _time(event), event[7], home)
        elif line.strip() in ("PENDING REASONS:", "SUSPENDING REASONS:"):
            row["PEND_REASON"] = lines[number + 1].replace(BREAK, "").strip() if number + 1 < len(lines) else ""
        elif line.strip() == "RUNLIMIT" and number + 1 < len(lines):
            limit = re.match(r"\s*(\d+(?:\.\d+)?) min", lines[number + 1])
            row["RUNLIMIT"] = limit[1] if limit else ""
    _explain_end(row)
    return row


def _add_event(row: dict[str, str], when: float, text: str, home: str) -> None:
    plain = text.replace(BREAK, "")
    if plain.startswith("Submitted from host"):
        row["SUBMITTED"] = str(when)
        folder = _FOLDER.search(text)
        if folder:
            row["SUB_CWD"] = _folder(folder[1], home)
        return
    started = _STARTED.match(plain)
    if started:
        hosts = re.findall(r"<([^<>]+)>", re.split(r",\s*(?:Execution|Allocated)", started[2])[0])
        row["EXEC_HOST"] = ":".join(hosts)
        if started[1].lower() == "started":
            row["STARTED"] = str(when)
    elif plain.startswith(("Done ", "Exited", "Completed")):
        row["ENDED"] = str(when)
        code, number = _CODE.match(plain), _SIGNAL.match(plain)
        if code:
            row["EXIT_CODE"] = code[1]
        elif number:
            row["EXIT_CODE"] = str(128 + int(number[1]))
    reason = re.search(r"TERM_[A-Z_]+[^;]*", plain)
    if reason:
        row["EXIT_REASON"] = reason[0].rstrip(". ")


def _explain_end(row: dict[str, str]) -> None:
    """Add the exit reason of a job that ended at its run limit, which OpenLava does not report."""
    if row["STAT"] == "EXIT" and not row.get("EXIT_REASON") and row.get("RUNLIMIT"):
        ran = float(row.get("ENDED", "nan")) - float(row.get("STARTED", "nan"))
        if ran >= 60 * float(row["RUNLIMIT"]):
            row["EXIT_REASON"] = f"TERM_RUNLIMIT: ended {ran:.0f} s after its start, at its run limit"


def _time(event: re.Match[str]) -> float:
    month, day = _MONTHS.index(event[1]) + 1, int(event[2])
    hours, minutes, seconds = int(event[3]), int(event[4]), int(event[5])
    now = time.time()
    year = int(event[6]) if event[6] else time.localtime(now).tm_year
    when = time.mktime((year, month, day, hours, minutes, seconds, 0, 0, -1))
    if event[6] is None and when > now + 86400:
        when = time.mktime((year - 1, month, day, hours, minutes, seconds, 0, 0, -1))
    return when


def _folder(text: str, home: str) -> str:
    """Return the path of a folder that bjobs abbreviated and wrapped.

    If a space may have been lost at a line break, the path that exists on this machine is taken.
    """
    if text == "$HOME" or text.startswith(("$HOME/", f"$HOME{BREAK}")):
        text = home + text.removeprefix("$HOME")
    plain = text.replace(BREAK, "")
    parts = text.split(BREAK)
    if len(parts) - 1 > MOST_BREAKS or Path(plain).is_dir():
        return plain
    for choice in range(1, 2 ** (len(parts) - 1)):
        path = "".join(part + " " * (choice >> index & 1) for index, part in enumerate(parts[:-1])) + parts[-1]
        if Path(path).is_dir():
            return path
    return plain
