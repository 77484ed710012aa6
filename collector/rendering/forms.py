"""The other forms of a page: its facts as JSON, its list as CSV, and what changed as an Atom feed.

Each form has the address of the page with a suffix, and takes the same filters.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from collector import formatting

JSON, CSV, ATOM = ".json", ".csv", ".atom"

MEDIA_TYPES = {JSON: "application/json", CSV: "text/csv", ATOM: "application/atom+xml"}

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Entry:
    """One entry of a feed. ``identity`` never changes and is unique; ``href`` is a path on the server."""

    identity: str
    title: str
    updated: datetime
    href: str
    text: str


def identity_of(*names: str) -> str:
    """Return an identity for an entry that is equal for equal names."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:32]


def write_json(facts: Mapping[str, Any]) -> bytes:
    """Return facts as JSON."""
    return msgspec.json.encode(facts)


def write_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as CSV with a heading (RFC 4180); values that are lists or objects are written as JSON.

    A text that a spreadsheet would compute as a formula gets an apostrophe in front.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows([_plain(row.get(name)) for name in names] for row in rows)
    return out.getvalue().encode()


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return formatting.iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value if isinstance(value, int | float) else msgspec.json.encode(value).decode()


def write_atom(title: str, base: str, path: str, drawn: datetime, entries: Sequence[Entry]) -> bytes:
    """Return an Atom feed (RFC 4287). ``base``: the address of the server; ``path``: that of the feed."""
    updated = max((entry.updated for entry in entries), default=drawn)
    parts = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        f"<id>{_text(base + path)}</id><title>{_text(title)}</title><updated>{formatting.iso(updated)}</updated>",
        f'<link rel="self" href={_attribute(base + path)}/><author><name>ExaWorks collector</name></author>',
    ]
    parts += [
        f"<entry><id>urn:exaworks:{_text(entry.identity)}</id><title>{_text(entry.title)}</title>"
        f"<updated>{formatting.iso(entry.updated)}</updated><link href={_attribute(base + entry.href)}/>"
        f"<summary>{_text(entry.text)}</summary></entry>"
        for entry in entries
    ]
    return "\n".join([*parts, "</feed>", ""]).encode()


def _text(value: str) -> str:
    return escape(_allowed(value))


def _attribute(value: str) -> str:
    return quoteattr(_allowed(value))


def _allowed(value: str) -> str:
    """Replace the control characters that XML does not allow."""
    return "".join(char if char >= " " or char in "\t\n\r" else "\ufffd" for char in value)
