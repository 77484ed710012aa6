"""The rules of diagnosis: which message has which cause."""

from __future__ import annotations

import re

from docs_site.text import code, table
from sdk_tests.diagnosis.rules import FAMILIES, OWN, RULES


def page() -> str:
    parts = [
        "# Rules of diagnosis",
        f"The harness knows {len(RULES)} messages, and {len(OWN)} causes without a message. "
        "[Why a case failed](../diagnosis.md) explains how a rule is chosen. `exaworks explain` shows the rule that "
        "decided.",
    ]
    for name, rules in FAMILIES.items():
        rows = [
            (
                f"`{rule.id}`",
                _named(rule.title),
                rule.cls.value,
                rule.phase.value,
                code(rule.example),
                _named(rule.advice),
            )
            for rule in rules
        ]
        parts += [f"## {name}", table(("rule", "cause", "fault", "phase", "such as", "what to do"), rows)]
    own = [(f"`{name}`", title, advice) for name, (title, advice) in OWN.items()]
    parts += ["## Causes without a message", table(("rule", "cause", "what to do"), own)]
    return "\n\n".join((*parts, ""))


def _named(text: str) -> str:
    """Write a placeholder as people read it: ``{library}`` becomes *library*."""
    return re.sub(r"\{(\w+)\}", r"*\1*", text)
