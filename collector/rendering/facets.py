"""The filters of a page as links: each choice of each filter, with the link that turns it on or off."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from collector import formatting
from collector.outcomes import ORDER, OUTCOME_NAMES
from collector.rendering.base import Question
from collector.status.filters import AGES, CLASSES, EMULATED, NAMES, STATES

MOST = 24
"""The number of choices that are offered for one filter; others can be written into the address."""

Facet = tuple[str, list[tuple[str, str, bool]]]
"""A filter, and its choices: the text, the link that turns it on or off, and whether it is on."""


def facets(question: Question, facts: dict[str, Any], *path: str) -> list[Facet]:
    """Return the filters of a page at ``path`` with the choices that its facts offer."""
    asked = {name: question.query[name].split(",") for name in NAMES if question.query.get(name)}
    chips = []
    for name, offered in _offered(facts).items():
        on = asked.get(name, [])
        shown = list(dict.fromkeys([*on, *list(offered)[:MOST]]))
        choices = [
            (choice, question.link(*(path or ("",)), **_toggled(question, name, on, choice)), choice in on)
            for choice in shown
        ]
        if len(choices) > 1 or on:
            chips.append((name, choices))
    return chips


def _toggled(question: Question, name: str, on: list[str], choice: str) -> dict[str, str]:
    """Return the query of the address with one choice turned on, or off; the page is the first one again."""
    kept = {each: value for each, value in question.query.items() if each not in ("token", "page") and value}
    values = [each for each in on if each != choice] + ([] if choice in on else [choice])
    return {each: value for each, value in {**kept, name: ",".join(values)}.items() if value}


def _offered(facts: dict[str, Any]) -> dict[str, Iterable[str]]:
    tiles, runs = facts.get("tiles", []), facts.get("runs", [])
    emulated = {name.removesuffix(" (emulated)") for run in runs for name in run["schedulers"]}
    return {
        "site": facts.get("sites", {}),
        "component": sorted({tile["subject"] for tile in tiles}, key=formatting.control_first),
        "scheduler": sorted(emulated),
        "outcome": [OUTCOME_NAMES[char] for char in ORDER],
        "class": CLASSES,
        "owner": [name for name in facts.get("failing", {}).get("by_owner", {}) if name],
        "release": sorted({run["release"] for run in runs if run["release"]}, reverse=True),
        "version": sorted({tile["version"] for tile in tiles if tile["version"]}),
        "emulated": EMULATED,
        "age": AGES,
        "state": STATES,
        "system": [],
    }
