"""Where a payload waited when the harness ended it, from the traceback that ``payloads/_payload.py`` then prints."""

from __future__ import annotations

import re
import sysconfig

_FIRST = "Traceback (most recent call last):"
_LAST = "SystemExit: ended by SIGTERM"
_FRAME = re.compile(r'\s*File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.+)')
_OWN = ("_payload.py", "_starting.py", "_fixture.py")
_LIBRARY = re.compile(r"/lib/python3(?:\.\d+)?/(?!site-packages/|dist-packages/)")


def split_waiting(output: str) -> tuple[str, str]:
    """Return the output without that traceback, and where the payload waited; empty if there is no such traceback.

    Of the calls, the payload's own is named, and the innermost of the component; Python's own library explains nothing.
    """
    lines = output.splitlines()
    last = next((number for number in reversed(range(len(lines))) if lines[number].strip() == _LAST), None)
    if last is None:
        return output, ""
    first = max((number for number in range(last) if lines[number].strip() == _FIRST), default=0)
    calls: list[tuple[str, str]] = []
    for number in range(first, last):
        frame = _FRAME.match(lines[number])
        if frame is None or frame["file"].endswith(_OWN) or _is_library(frame["file"]):
            continue
        code = lines[number + 1].strip() if number + 1 < last and not _FRAME.match(lines[number + 1]) else ""
        calls.append((f"{_short(frame['file'])}, line {frame['line']}", code or frame["function"]))
    rest = "\n".join(lines[:first] + lines[last + 1 :])
    if not calls:
        return rest, ""
    (place, code), (inner, _) = calls[0], calls[-1]
    return rest, f"{place}: {code}" + (f" (in {inner})" if inner != place else "")


def _is_library(file: str) -> bool:
    return file.startswith(sysconfig.get_path("stdlib") + "/") or _LIBRARY.search(file) is not None or file[0] == "<"


def _short(file: str) -> str:
    """Return a path without the part that is the same for everything: up to site-packages, or all folders."""
    for folder in ("site-packages/", "dist-packages/"):
        _, found, after = file.rpartition(folder)
        if found:
            return after
    return file.rpartition("/")[2]
