"""The generator of ``docs/diagnosis.md``: ``python -m sdk_tests.diagnosis.page --to docs/diagnosis.md``.

What follows the line ``END`` in the page is not generated and stays: the sabotage suite writes its table there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from sdk_tests.diagnosis.rule import GENERAL, PLAIN, SPECIFIC, Rule
from sdk_tests.diagnosis.rules import FAMILIES, OWN, RULES

COMMAND = "python -m sdk_tests.diagnosis.page --to docs/diagnosis.md"
END = "<!-- end of the generated part -->"

_RANKS = {SPECIFIC: "specific", PLAIN: "plain", GENERAL: "general"}

OPENING = f"""\
# Diagnosis

When a case does not pass, the harness looks for the cause in what the case left behind: the output of the payload and
its answer, the logs of its components, and what the scheduler answers about its job. The rules on this page name the
known causes. The page is generated from them: `{COMMAND}`.

- `exaworks explain [RUN] [CASE]` prints the whole chain for one case: expected and got, the cause with the lines around
  it, each log with its path, the scheduler's answers, what changed since the case last passed, and what else has the
  same cause.
- `exaworks rerun [RUN] CASE` runs the payload of the case again, in the same activation. With `--shell` it starts a
  shell there instead and prints the command.

The most specific rule that matches decides (its *rank*). Among rules of one rank, the root of a chain of Python
exceptions comes first, then the earlier text and the earlier line. A *general* message may also be a consequence of
something else, so in a log it counts only in a line that reports an error. A message that a scheduler wrote is the
fault of the scheduler or of the site, whichever component passed it on. What no rule knows is not guessed: the record
shows the best lines.

The outcome follows from the fault class: `site` and `scheduler` give `infra`, `component` and `distribution` give
`fail`; a rule with another outcome states it. To add a rule, add a few lines with an example to the family's module in
`sdk_tests/diagnosis/rules/`, and generate this page again.
"""


def page() -> str:
    """Return the generated part of the page, up to and including the line ``END``."""
    return "\n".join((OPENING, *_families(), *_own(), END, ""))


def _families() -> Iterator[str]:
    yield f"There are {len(RULES)} rules.\n"
    for name, rules in FAMILIES.items():
        yield f"## {name}\n"
        yield "| rule | cause | fault | phase | rank | what to do | message | source |"
        yield "|---|---|---|---|---|---|---|---|"
        yield from map(_row, rules)
        yield ""


def _row(rule: Rule) -> str:
    fault = rule.cls.value + (f", outcome `{rule.outcome.value}`" if rule.outcome is not None else "")
    where = "" if len(rule.where) == 3 else f" (only in: {', '.join(each.value for each in rule.where)})"
    cells = (
        f"`{rule.id}`",
        _named(rule.title),
        fault,
        rule.phase.value,
        _RANKS[rule.rank] + where,
        _named(rule.advice),
        f"`{rule.example}`",
        rule.source,
    )
    return "| " + " | ".join(_cell(each) for each in cells) + " |"


def _own() -> Iterator[str]:
    yield "## Causes without a message\n"
    yield "The harness finds these from how an attempt ended, or from what a test function raised.\n"
    yield "| rule | cause | what to do |"
    yield "|---|---|---|"
    for name, (title, advice) in OWN.items():
        yield f"| `{name}` | {_cell(title)} | {_cell(advice)} |"
    yield ""


def _named(text: str) -> str:
    """Write a placeholder as people read it: ``{library}`` becomes *library*."""
    return re.sub(r"\{(\w+)\}", r"*\1*", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


@click.command()
@click.option("--to", "target", type=click.Path(path_type=Path), required=True)
def main(target: Path) -> None:
    """Write the generated part of the page; what follows it stays."""
    rest = ""
    if target.exists():
        _, _, rest = target.read_text(encoding="utf-8").partition(f"{END}\n")
    target.write_text(page() + rest, encoding="utf-8")


if __name__ == "__main__":
    main()
