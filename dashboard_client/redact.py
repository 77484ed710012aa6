"""Redaction: remove what must not leave the machine from a record or manifest.

It is done once, before anything is written into a run's outbox. ``full`` keeps every field and masks secrets, the home
folder and the user's name in them. ``minimal`` is an allow-list (``leaves.py``): it empties every other field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, TypeVar

import msgspec

from dashboard_client.errors import RecordError
from dashboard_client.leaves import MANIFEST, RECORD, Kind, Leaf, fields, may_be_null
from dashboard_client.masking import CONFIDENTIAL_KEY, MARKER, Masker
from dashboard_client.schema import Manifest, Record

S = TypeVar("S", bound=msgspec.Struct)

TIERS = ("full", "minimal")
WITHHELD = "[withheld]"
"""Replaces a text that the minimal tier empties and that the schema requires."""
MAX_DEPTH = 24
"""Levels of nesting that are kept in ``extras`` and ``params``."""


def redact(record: Record, tier: str, *, secrets: Sequence[str], home: str, user: str) -> Record:
    """Return the redacted record, with the name of the tier in it.

    ``secrets`` are known secret values (tokens from the environment); common forms of other secrets are masked too.

    Raises:
        RecordError: a field that identifies the attempt contains a secret, or there is no such tier.
    """
    redactor = _Redactor(RECORD, tier, _masker(tuple(secrets), home, user), f"the record {record.record_id[:12]}")
    redacted = redactor.struct(record, "")
    return msgspec.structs.replace(redacted, evidence=msgspec.structs.replace(redacted.evidence, redaction=tier))


def redact_manifest(manifest: Manifest, tier: str, *, secrets: Sequence[str], home: str, user: str) -> Manifest:
    """Return the redacted manifest. Call this before the run begins, so that a secret in a case id stops the run early.

    Raises:
        RecordError: a case id or another name of the run contains a secret, or there is no such tier.
    """
    redactor = _Redactor(MANIFEST, tier, _masker(tuple(secrets), home, user), "the manifest")
    return msgspec.structs.replace(redactor.struct(manifest, ""), redaction=tier)


@lru_cache(maxsize=4)
def _masker(secrets: tuple[str, ...], home: str, user: str) -> Masker:
    return Masker(secrets, home, user)


@cache
def _kept(of_record: bool, tier: str) -> frozenset[str]:
    """Return the paths of the leaves that a tier keeps, and of the structs that contain them."""
    return frozenset(
        path[:cut]
        for path, leaf in (RECORD if of_record else MANIFEST).items()
        if tier == "full" or leaf.minimal
        for cut in (*(index for index, letter in enumerate(path) if letter == "."), len(path))
    )


@cache
def _paths(
    struct: type[msgspec.Struct], prefix: str, of_record: bool, tier: str
) -> tuple[tuple[str, Any, str, bool, Kind | None], ...]:
    """Return the fields of a struct: name, annotation, path, whether the tier keeps it, and the kind of the leaf."""
    table, kept = RECORD if of_record else MANIFEST, _kept(of_record, tier)
    return tuple(
        (name, annotation, path, path in kept, table[path].kind if path in table else None)
        for name, annotation in fields(struct)
        for path in (prefix + name,)
    )


class _Redactor:
    """Redacts a struct leaf by leaf, according to the table of its model."""

    def __init__(self, table: Mapping[str, Leaf], tier: str, masker: Masker, what: str) -> None:
        if tier not in TIERS:
            raise RecordError(f"redaction: there is no tier {tier!r}; choose one of: {', '.join(TIERS)}")
        self.table = table
        self.masker = masker
        self.what = what
        self.tier = tier

    def struct(self, value: S, prefix: str) -> S:
        """Return a copy of a struct with every field redacted."""
        copy: dict[str, Any] = {}
        for name, annotation, path, kept, leaf in _paths(type(value), prefix, self.table is RECORD, self.tier):
            item = getattr(value, name)
            if leaf is not Kind.CLOSED or not kept:
                item = self.field(item, annotation, path, kept, leaf)
            copy[name] = item
        return type(value)(**copy)

    def field(self, value: Any, annotation: Any, path: str, kept: bool, leaf: Kind | None) -> Any:
        """Redact one field. A field that is in no table is emptied, so that a forgotten one stays on the machine."""
        if value is msgspec.UNSET:  # absent, as in what an earlier version wrote
            return value
        if not kept:
            return self.empty(value, annotation, path)
        if isinstance(value, msgspec.Struct):
            return self.struct(value, f"{path}.")
        if isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
            return [self.struct(item, f"{path}.") for item in value]
        if leaf is None:
            return value  # an empty list of structs, or null instead of a struct
        return self.leaf(value, leaf, path)

    def empty(self, value: Any, annotation: Any, path: str) -> Any:
        if may_be_null(annotation):
            return None
        if isinstance(value, str):
            return WITHHELD
        if isinstance(value, (list, dict)):
            return type(value)()
        raise RecordError(f"redaction: {path} cannot be emptied and is not in a table of leaves.py; add it there")

    def leaf(self, value: Any, kind: Kind, path: str) -> Any:
        if kind is Kind.CLOSED:
            return value
        if kind is Kind.IDENTITY:
            if isinstance(value, str) and self.masker.mask_secrets(value) != value:
                raise RecordError(
                    f"{self.what}: {path} contains a secret. It identifies the attempt and cannot be masked; remove "
                    "the secret from the name or the parameters of the case."
                )
            return value
        masker = self.masker
        mask = {Kind.NAME: masker.mask_secrets, Kind.TEXT: masker.mask_text, Kind.TAIL: masker.mask_tail}[kind]
        return self.tree(value, mask, path, 0)

    def tree(self, value: Any, mask: Any, path: str, depth: int) -> Any:
        """Mask every string of a free value, keys too, and convert what JSON cannot represent to text."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            if not math.isfinite(value):
                return None
            return value if self.masker.mask_secrets(str(value)) == str(value) else MARKER
        if isinstance(value, str):
            return mask(value)
        if depth >= MAX_DEPTH:
            return WITHHELD
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.tree(item, mask, path, depth + 1) for item in value]
        if isinstance(value, Mapping):
            masked: dict[str, Any] = {}
            for key, item in value.items():
                name = mask(str(key))
                while name in masked:
                    name += "'"
                confidential = CONFIDENTIAL_KEY.search(str(key)) is not None
                masked[name] = self.tree(item, _hide if confidential else mask, path, depth + 1)
            return masked
        if isinstance(value, (bytes, bytearray)):
            return mask(bytes(value).decode(errors="replace"))
        return mask(str(value))


def _hide(value: str) -> str:
    """Mask any text under a key with a confidential name."""
    return MARKER if value else value
