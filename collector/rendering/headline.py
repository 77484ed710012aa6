"""The headline of the first page: what changed since the reference time, in words, each part with its link."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from collector import formatting
from collector.rendering.base import Question

GROUPS = 4
"""The number of groups of new failures that are named; the others are counted."""

Part = tuple[Markup, list[Markup]]
"""A statement with a link, and the groups that it consists of."""


def headline(question: Question, facts: dict[str, Any]) -> list[Part]:
    """Return the statements: newly failing, recovered, silent."""
    failing = [each for each in facts["changes"] if not each["recovered"]]
    recovered = [each for each in facts["changes"] if each["recovered"]]
    parts = [
        (_statement(question, facts, failing, "newly failing", "new"), _groups(question, facts, failing)),
        (_statement(question, facts, recovered, "recovered", "recovered"), []),
    ]
    silent = facts["silent"]
    number = silent["systems"]
    if number:
        text = f"{formatting.counted(number, 'system')} silent"
        first = silent["longest"][0]
        named = ", ".join(each["system"] for each in silent["longest"])
        more = f" and {number - len(silent['longest'])} more" if number > len(silent["longest"]) else ""
        about = Markup(" <span class=quiet>for up to {}: {}{}</span>").format(
            formatting.ago(first["since"], question.now), named, more
        )
        parts.append((_link(question.link("", **_kept(facts), state="silent"), text) + about, []))
    else:
        parts.append((Markup("no system silent"), []))
    return parts


def _statement(question: Question, facts: Any, groups: list[Any], verb: str, change: str) -> Markup:
    number = sum(each["cells"] for each in groups)
    if not number:
        return Markup("nothing {}").format(verb)
    text = f"{formatting.counted(number, 'cell')} {verb}"
    return _link(question.link("triage", **_kept(facts), since=facts["since"]["text"], change=change), text)


def _groups(question: Question, facts: Any, groups: list[Any]) -> list[Markup]:
    """Return a sentence for each group, such as ``2 distribution: parsl 2026.11.2 on dane, tuolumne``."""
    sentences = []
    for each in groups[:GROUPS]:
        more = each["systems"] - len(each["named"])
        places = ", ".join(each["named"]) + (f" and {more} more" if more > 0 else "")
        query = {**_kept(facts), "since": facts["since"]["text"], "change": "new"}
        query |= {"component": each["component"]} if each["component"] else {}
        query |= {"class": each["class"]} if each["class"] else {"outcome": "missing"}
        query |= {"version": each["version"]} if each["version"] else {}
        href = question.link("triage", **query)
        text = f"{each['cells']} {each['class'] or 'without a record'}"
        text += f": {name}" if (name := component_of(each)) else ""
        sentences.append(_link(href, text) + Markup(" on {}").format(places))
    rest = sum(each["cells"] for each in groups[GROUPS:])
    if rest:
        href = question.link("triage", **_kept(facts), since=facts["since"]["text"], change="new")
        sentences.append(_link(href, f"{rest} more"))
    return sentences


def component_of(change: Any) -> str:
    """Return the component of a group of changes with its version; empty if it has none."""
    return " ".join(filter(None, (change["component"], change["version"])))


def _kept(facts: Any) -> dict[str, str]:
    kept: dict[str, str] = {name: value for name, value in facts["filters"].items() if name != "state"}
    return kept


def _link(href: str, text: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(href, text)
