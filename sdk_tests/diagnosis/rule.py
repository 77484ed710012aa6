"""A rule of the catalogue: a message, and what it means."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from dashboard_client.schema import CauseClass, Outcome, Phase
from sdk_tests.diagnosis.text import Where

EVERYWHERE = (Where.OUTPUT, Where.LOGS, Where.SCHEDULER)

SPECIFIC = 3
"""The message exists for this cause alone, such as a scheduler's refusal of an account."""
PLAIN = 2
"""The message names the cause; other messages may follow from it."""
GENERAL = 1
"""The message may also be a consequence of another cause, such as a refused connection."""

OUTCOMES: Mapping[CauseClass, Outcome] = {
    CauseClass.SITE: Outcome.INFRA,
    CauseClass.SCHEDULER: Outcome.INFRA,
    CauseClass.COMPONENT: Outcome.FAIL,
    CauseClass.DISTRIBUTION: Outcome.FAIL,
    CauseClass.HARNESS: Outcome.ERROR,
    CauseClass.UNKNOWN: Outcome.ERROR,
}
"""The outcome of a case whose cause has that class, unless its rule has another one."""


@dataclass(frozen=True)
class Rule:
    r"""A message and what it means.

    id: unique, in lower case with dashes. pattern: a regular expression that is searched in each line; a named group is
    a value that ``title`` and ``advice`` may contain as ``{name}``, and that distinguishes one cause from another:
    causes are equal if rule and values are equal. Values that vary without a meaning belong in unnamed groups. title:
    the cause in a few words. cls: whose fault it is. phase: when it arose. advice: what to do. source: where the
    message comes from. example: a line as it was printed. where: the texts that it applies to. owners: the components
    or kinds of scheduler whose texts it applies to; all if empty. rank: the rule with the highest rank decides.
    """

    id: str
    pattern: str
    title: str
    cls: CauseClass
    phase: Phase
    advice: str
    source: str
    example: str
    rank: int = PLAIN
    where: tuple[Where, ...] = EVERYWHERE
    owners: tuple[str, ...] = ()
    outcome: Outcome | None = None

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    @property
    def verdict(self) -> Outcome:
        """The outcome of a case that failed because of this."""
        return self.outcome or OUTCOMES[self.cls]

    def applies(self, where: Where, owner: str) -> bool:
        return where in self.where and (not self.owners or owner in self.owners)

    def values(self, match: re.Match[str]) -> dict[str, str]:
        """Return the values of the named groups that took part in a match, without quotes and closing punctuation."""
        return {name: value.strip("\"'`.,:;() ") for name, value in match.groupdict().items() if value}

    def filled(self, text: str, values: Mapping[str, str]) -> str:
        """Return title or advice with the values; one that the message does not contain is left out, or is ``it``."""
        for name in set(re.findall(r"\{(\w+)\}", text)) - {name for name, value in values.items() if value}:
            text = re.sub(rf"^\{{{name}\}}|(?<=contains )\{{{name}\}}|(?<=: )\{{{name}\}}(?= )", "it", text)
            text = re.sub(rf"(?:: | \(| )\{{{name}\}}\)?", "", text)
        return re.sub(r"\{(\w+)\}", lambda name: values[name.group(1)], text)


def cause_key(rule: str, values: Iterable[str] = ()) -> str:
    """Return the key of a cause: the rule, and a digest of the values that distinguish it from others of the rule.

    The values themselves may be private; the key leaves the machine in every tier of redaction.
    """
    text = "\0".join(" ".join(value.lower().split()) for value in values if value)
    return f"{rule}:{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:12]}" if text else rule


_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{7,}\b|/\S+|\d+", re.IGNORECASE)


def unknown_key(rule: str, line: str) -> str:
    """Return the key of a cause that no rule knows: equal lines have equal keys, whatever numbers and paths are in."""
    return cause_key(rule, [_VARYING.sub("#", line)[:200]])


def refusal(
    kind: str,
    source: str,
    name: str,
    pattern: str,
    title: str,
    advice: str,
    example: str,
    rank: int = SPECIFIC,
    cls: CauseClass = CauseClass.SCHEDULER,
) -> Rule:
    """Return the rule of a message with which a kind of scheduler refuses a job."""
    return Rule(f"{kind}-{name}", pattern, title, cls, Phase.SUBMIT, advice, source, example, rank)
