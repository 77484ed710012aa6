"""Redaction: what a record or manifest looks like once it may leave.

It happens once, before anything is written into a run's outbox. ``full`` keeps every field and masks secrets, the home
folder and the user's name inside them; ``minimal`` is an allow-list (``leaves.py``): what is not on it is emptied.
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
"""Stands where the minimal tier empties a text that the schema requires."""
DEEPEST = 24
"""Levels of nesting in ``extras`` and ``params`` that are kept."""


def redact(record: Record, tier: str, *, secrets: Sequence[str], home: str, user: str) -> Record:
    """Return the record as it may leave, with the tier named in it.

    ``secrets`` are values known to be secret (tokens from the environment); well-known forms of others are found too.

    Raises:
        RecordError: a secret stands in a field that names the attempt, or a tier of that name does not exist.
    """
    walk = _Walk(RECORD, tier, _masker(tuple(secrets), home, user), f"the record of {record.record_id[:12]}")
    walked = walk.struct(record, "")
    return msgspec.structs.replace(walked, evidence=msgspec.structs.replace(walked.evidence, redaction=tier))


def redact_manifest(manifest: Manifest, tier: str, *, secrets: Sequence[str], home: str, user: str) -> Manifest:
    """Return the manifest as it may leave; do this before the run begins, so that a secret in a case id stops it early.

    Raises:
        RecordError: a secret stands in a case id or another name of the run, or a tier of that name does not exist.
    """
    walk = _Walk(MANIFEST, tier, _masker(tuple(secrets), home, user), "the manifest")
    return msgspec.structs.replace(walk.struct(manifest, ""), redaction=tier)


@lru_cache(maxsize=4)
def _masker(secrets: tuple[str, ...], home: str, user: str) -> Masker:
    return Masker(secrets, home, user)


@cache
def _kept(of_record: bool, tier: str) -> frozenset[str]:
    """Return the paths that a tier keeps something of, structs as well as leaves."""
    return frozenset(
        path[:cut]
        for path, leaf in (RECORD if of_record else MANIFEST).items()
        if tier == "full" or leaf.minimal
        for cut in (*(place for place, letter in enumerate(path) if letter == "."), len(path))
    )


class _Walk:
    """One pass over a struct, leaf by leaf, by the table of its model."""

    def __init__(self, table: Mapping[str, Leaf], tier: str, masker: Masker, what: str) -> None:
        if tier not in TIERS:
            raise RecordError(f"redaction: no such tier: {tier!r}; there are {', '.join(TIERS)}")
        self.table = table
        self.masker = masker
        self.what = what
        self.kept = _kept(table is RECORD, tier)

    def struct(self, value: S, prefix: str) -> S:
        """Rebuild a struct with every field treated."""
        made = {name: self.field(getattr(value, name), kind, prefix + name) for name, kind in fields(type(value))}
        return type(value)(**made)

    def field(self, value: Any, annotation: Any, path: str) -> Any:
        """Treat one field; what no table names is emptied, so that a forgotten field cannot leave."""
        if path not in self.kept:
            return self.empty(value, annotation, path)
        if isinstance(value, msgspec.Struct):
            return self.struct(value, f"{path}.")
        if isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
            return [self.struct(item, f"{path}.") for item in value]
        if path not in self.table:
            return value  # an empty list of structs, or the null in place of one
        return self.leaf(value, self.table[path].kind, path)

    def empty(self, value: Any, annotation: Any, path: str) -> Any:
        if may_be_null(annotation):
            return None
        if isinstance(value, str):
            return WITHHELD
        if isinstance(value, (list, dict)):
            return type(value)()
        raise RecordError(f"redaction: {path} is neither kept nor can it be emptied; give it a line in leaves.py")

    def leaf(self, value: Any, kind: Kind, path: str) -> Any:
        if kind is Kind.CLOSED:
            return value
        if kind is Kind.IDENTITY:
            if isinstance(value, str) and self.masker.secret(value) != value:
                raise RecordError(
                    f"{self.what}: a secret stands in {path}, which names the attempt and cannot be masked; "
                    "take it out of the case's name or parameters"
                )
            return value
        mask = {Kind.NAME: self.masker.secret, Kind.TEXT: self.masker.text, Kind.TAIL: self.masker.tail}[kind]
        return self.tree(value, mask, path, 0)

    def tree(self, value: Any, mask: Any, path: str, depth: int) -> Any:
        """Mask every string of a free value, keys too, and turn what JSON cannot carry into text."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            if not math.isfinite(value):
                return None
            return value if self.masker.secret(str(value)) == str(value) else MARKER
        if isinstance(value, str):
            return mask(value)
        if depth >= DEEPEST:
            return WITHHELD
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.tree(item, mask, path, depth + 1) for item in value]
        if isinstance(value, Mapping):
            made: dict[str, Any] = {}
            for key, item in value.items():
                name = mask(str(key))
                while name in made:
                    name += "'"
                hidden = CONFIDENTIAL_KEY.search(str(key)) is not None
                made[name] = self.tree(item, _hide if hidden else mask, path, depth + 1)
            return made
        if isinstance(value, (bytes, bytearray)):
            return mask(bytes(value).decode(errors="replace"))
        return mask(str(value))


def _hide(value: str) -> str:
    """Mask whatever stands under a key that says it is confidential."""
    return MARKER if value else value
