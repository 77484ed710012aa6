"""Lanes: the ways of deployment that one pipeline tests side by side, each as a run of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

KINDS = {"pip": "release", "conda": "conda", "spack": "spack", "module": "module", "image": "image", "venv": "venv"}
"""The kind of deployment that each kind of lane tests."""
NAMED = ("module", "image", "venv")
"""Kinds that need a name after a colon."""


@dataclass(frozen=True)
class Lane:
    """One lane. ``name`` distinguishes its jobs and results; ``deployment`` is what it tests."""

    name: str
    kind: str
    deployment: str


def lanes(texts: Sequence[str]) -> list[Lane]:
    """Return the lanes that ``KIND`` or ``KIND:NAME`` name; two of a kind differ in the end of their names."""
    kinds = [text.partition(":")[0] for text in texts]
    named: list[Lane] = []
    for text, kind in zip(texts, kinds, strict=True):
        name = kind if kinds.count(kind) == 1 else _word(text)
        while name in {lane.name for lane in named}:
            name += "-again"
        rest = text.partition(":")[2]
        deployment = KINDS.get(kind, kind) + (f":{rest}" if rest else "")
        named.append(Lane(name, kind, deployment))
    return named


def _word(text: str) -> str:
    kind, _, name = text.partition(":")
    last = name.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^a-z0-9]+", "-", f"{kind}-{last}".lower()).strip("-")[:40].strip("-")
