"""Find the cause of a failure in texts: the rule with the highest rank, at the root of its chain, in the first text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sdk_tests.diagnosis.rule import GENERAL, SPECIFIC, Rule
from sdk_tests.diagnosis.rules import RULES
from sdk_tests.diagnosis.text import Text, Where, chains, frames, handled_lines

SIGNS = re.compile(
    r"error|fail|fatal|exception|critical|warn|cannot|can't|could not|couldn't|unable|not |no such|no |denied|refused|"
    r"invalid|illegal|unknown|unrecogni|missing|exceed|limit|kill|abort|abnormal|terminat|lost|timed? ?out|too |bad |"
    r"unsatisfiable|incompatible|mismatch|undefined|unsupported|reset by|unreachable|\bErrno\b|wrong|corrupt|stale|"
    r"read-only|out of|oom|held|died|does not|doesn't|disabled|bus |rejected|insecure|unauthorized|without|attempt|"
    r"waiting|enough|hung|violat|unusable|down|drain|signal|panic|stopped|fault|unbound|conflict|_?hold|PSUSP|"
    r"greater than|less than|never|exited|Exit_status|the payload ends|still on|already|denied",
    re.IGNORECASE,
)
"""What a line of a log contains if a rule may match it; a log has many lines, and the catalogue many rules."""

SERIOUS = re.compile(
    r"ERROR|CRITICAL|FATAL|FAILED|Error\b|Exception\b|Lost\b|\berror\b|\bfatal\b|\bfault\b|Errno|ends its pilot"
)

CHATTER = re.compile(r"\b(?:INFO|DEBUG|TRACE)\b|\b(?:info|debug)\b[:\]]")
"""Levels of a log at which a line counts, and is shown, only if a specific rule knows it."""

WRAPPERS = re.compile(
    r"became FAILED|ended as FAILED with exit code -?\d+: PSI/J has no message|Unknown error|bufsize exceeded|"
    r"^(?:AssertionError|Exception|RuntimeError|SystemExit): ?$|"
    r"^SystemExit: ended by SIGTERM|The above exception was the direct cause|During handling of the above exception|"
    r"DependencyError|BadStateException|Exceeded .* blocks|returned non-zero exit status|JoinError|SubmitException: $"
)
"""Messages that only say that something failed; they are never the cause, and never the line that is shown."""


@dataclass(frozen=True)
class Match:
    """A rule that matched: the line, its number in the text (from 0), and the values in it."""

    rule: Rule
    line: str
    number: int
    text: Text
    values: dict[str, str]


def find_cause(texts: Sequence[Text], rules: Sequence[Rule] = RULES) -> Match | None:
    """Return the match that explains a failure; None if no rule knows any of the lines.

    The most specific rule decides. Among rules of one rank, the root of a chain of exceptions comes before other lines,
    an earlier text before a later one, and the first line before the next.
    """
    best: tuple[tuple[int, bool, int, int, int], Match] | None = None
    for place, text in enumerate(texts):
        lines = text.lines()
        found = chains(lines)
        left_out = frames(lines) | (handled_lines(lines) if text.where is Where.LOGS else set())
        roots = {chain[0].number for chain in found}
        raised = {each.number for chain in found for each in chain}
        ranked = [(order, rule) for order, rule in enumerate(rules) if rule.applies(text.where, text.owner)]
        for number, line in enumerate(lines):
            if not line or number in left_out or (text.where is Where.LOGS and not SIGNS.search(line)):
                continue
            serious = text.where is not Where.LOGS or number in raised or SERIOUS.search(line) is not None
            chatter = text.where is Where.LOGS and number not in raised and CHATTER.search(line) is not None
            for order, rule in ranked:
                if (rule.rank == GENERAL and not serious) or (rule.rank < SPECIFIC and chatter):
                    continue
                key = (-rule.rank, number not in roots, place, number, order)
                if best is not None and key >= best[0]:
                    continue
                match = rule.compiled.search(line)
                if match is not None:
                    best = key, Match(rule, line, number, text, rule.values(match))
    return best[1] if best else None


def chosen_lines(text: Text, limit: int) -> list[str]:
    """Return the lines of a log that are worth showing: those that a rule knows, then errors, in their order."""
    lines = text.lines()
    rules = [rule for rule in RULES if rule.applies(text.where, text.owner) and rule.rank > GENERAL]
    weights: dict[int, int] = {}
    handled = handled_lines(lines)
    for number, line in enumerate(lines):
        if not line or number in handled or not SIGNS.search(line) or WRAPPERS.search(line):
            continue
        if any(rule.compiled.search(line) for rule in rules):
            weights[number] = 0
        elif not CHATTER.search(line):
            weights[number] = 1 if SERIOUS.search(line) else 2
    kept = sorted(sorted(weights, key=lambda number: (weights[number], number))[:limit])
    chosen = kept or [number for number, line in enumerate(lines) if line and not CHATTER.search(line)][-3:]
    return list(dict.fromkeys(lines[number] for number in chosen))


def best_line(texts: Sequence[Text]) -> tuple[str, Text] | None:
    """Return the line that says most about a failure that no rule knows, and its text; None if there is none.

    That is the root of the last chain of exceptions of the first text that has one, else the first serious line.
    """
    for text in texts:
        lines = text.lines()
        for chain in reversed(chains(lines)):
            for each in chain:
                if not WRAPPERS.search(each.line):
                    return each.line, text
    for text in texts:
        for line in _serious(text, SERIOUS):
            return line, text
    for text in texts:
        if text.where is Where.OUTPUT:
            for line in _serious(text, SIGNS):
                return line, text
    return None


def _serious(text: Text, signs: re.Pattern[str]) -> Iterator[str]:
    lines = text.lines()
    left_out = frames(lines) | (handled_lines(lines) if text.where is Where.LOGS else set())
    for number, line in enumerate(lines):
        if line and number not in left_out and signs.search(line) and not WRAPPERS.search(line):
            yield line
