"""Write a pipeline as YAML that means the same in YAML 1.1, which GitLab reads, and in YAML 1.2.

General YAML writers need most of a second for all pipelines, because they check every scalar against every rule of the
language. This writer leaves text unquoted only if no reader can take it for anything else. A test reads the results
back with both versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_PLAIN = re.compile(r"[A-Za-z0-9$/_.][\x21-\x7e]*(?: [\x21-\x7e]+)*")
_NO_TEXT = re.compile(
    r"(?i:y|n|yes|no|on|off|true|false|null|\.nan|\.inf)|[0-9.][0-9a-fox_,:.+-]*(?:[Tt ][0-9:.]+)?", re.IGNORECASE
)
"""Text that one of the two versions reads as a boolean, a number, a time or null: ``no`` is false, ``1:30`` is 90."""
_BREAKS = re.compile(r": | #|:\Z")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


def lines(tree: Any, indent: str = "") -> Iterator[str]:
    """Yield the lines of a mapping or a list that is not empty; text of several lines becomes a literal block."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _entry(f"{indent}{scalar(key)}:", value, f"{indent}  ")
        return
    for item in tree:
        if isinstance(item, dict) and item:
            first, *rest = lines(item, f"{indent}    ")
            yield f"{indent}  - {first[len(indent) + 4 :]}"
            yield from rest
        else:
            yield from _entry(f"{indent}  -", item, f"{indent}    ")


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from lines(value, indent if isinstance(value, dict) else indent[:-2])
    elif isinstance(value, str) and "\n" in value and (block := _block(value, indent)):
        yield f"{head} {block[0]}"
        yield from block[1:]
    else:
        yield f"{head} {scalar(value)}"


def scalar(value: Any) -> str:
    """Return a value on one line: unquoted if that is safe, else quoted."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    if not isinstance(value, str):
        return str(value)
    if _PLAIN.fullmatch(value) and not _BREAKS.search(value) and not _NO_TEXT.fullmatch(value):
        return value
    if _PRINTABLE.fullmatch(value):
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in value) + '"'


def _block(text: str, indent: str) -> list[str]:
    """Return the lines of a literal block, its header first; empty if the text needs another header than these two."""
    body = text.rstrip("\n")
    header = {0: "|-", 1: "|"}.get(len(text) - len(body))
    if header is None or not body or body[0] in " \n" or not all(map(_PRINTABLE.fullmatch, body.split("\n"))):
        return []
    return [header, *(f"{indent}{line}" if line else "" for line in body.split("\n"))]
