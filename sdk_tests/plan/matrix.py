"""The generator of ``docs/matrix.md``: ``python -m sdk_tests.plan.matrix --to docs/matrix.md``.

The page shows what is planned for each kind of scheduler. The report of a run shows what passed.
"""

from __future__ import annotations

import pkgutil
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any

import click

import sdk_tests.integration as integration
from dashboard_client.schema import CONTROL
from sdk_tests.integration.gaps import why_empty
from sdk_tests.integration.pairs import MEANT, NOT_THERE, UNPLANNED
from sdk_tests.model.case import Case
from sdk_tests.plan.needs import NEEDS
from sdk_tests.schedulers.registry import kinds

COMMAND = "python -m sdk_tests.plan.matrix --to docs/matrix.md"
PLANNED, BROKEN = "yes", "fails"
LETTERS = string.ascii_lowercase

OPENING = f"""\
# Matrix

This page lists the cases that test each component, and each pair of components, through each kind of scheduler. It is
generated from the cases: `{COMMAND}`.

A cell is planned on every system that has the scheduler. The report of a run shows whether the cell ran, and its
outcome. If a component or a partner is not deployed, its cells are skipped; they fail if the release or the site file
promises the component. *{BROKEN}* marks a known failure that has its cause outside this project; when such a case
passes, its outcome is `xpass`. The tier `smoke` is part of `integration`, which is part of `scale`. `/2n` marks a case
on two nodes.

A cell without a case has a reason in parentheses. A number refers to the list below the same table. A letter refers to
the list below the first table: the component or pair has no case at all on that scheduler.
"""


@dataclass(frozen=True)
class Row:
    """One case, and the claim that its test function makes."""

    case: Case
    claim: str

    @property
    def family(self) -> str:
        return "+".join((self.case.component, *self.case.partners))

    @property
    def name(self) -> str:
        """The id of the case without its family and scheduler."""
        start, _, nodes = self.case.case_id("*").partition("@*")
        return start.partition("/")[2] + nodes

    @property
    def full_name(self) -> str:
        return f"{self.family}/{self.name}"

    def cell(self, scheduler: str) -> str:
        """Return the text of the cell on a scheduler: empty, planned, or known to fail."""
        if not any(fnmatchcase(scheduler, pattern) for pattern in self.case.schedulers):
            return ""
        return BROKEN if self.known_failure(scheduler) else PLANNED

    def known_failure(self, scheduler: str) -> str | None:
        """Return the reason why the case is known to fail on a scheduler."""
        return self.case.xfail or self.case.broken_on.get(scheduler)


def rows() -> list[Row]:
    """Return every case of the integration package, sorted by family and then in the order of the source."""
    all_rows = [Row(case, _claim(judge)) for judge in _judges() for case in judge.exaworks_cases]  # type: ignore[attr-defined]
    return sorted(all_rows, key=lambda row: (row.case.component != CONTROL, row.family))


def schedulers() -> list[str]:
    """Return the kinds of scheduler that are part of the harness, ``local`` first."""
    own = [name for name, kind in kinds().items() if kind.__module__.startswith("sdk_tests.")]
    return sorted(own, key=lambda name: (name != "local", name))


def unplanned(family: str, scheduler: str) -> list[str]:
    """Return the letters of the reasons why a family has no case on a scheduler."""
    lettered = zip(LETTERS, UNPLANNED, strict=False)
    return [letter for letter, each in lettered if family in each.families and scheduler in each.schedulers]


def matrix(all_rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Return the whole page."""
    families = list(dict.fromkeys(row.family for row in all_rows))
    counted = [(_linked(family), *(_count(all_rows, family, name) for name in columns)) for family in families]
    lettered = "\n".join(f"- ({letter}) {each.why}" for letter, each in zip(LETTERS, UNPLANNED, strict=False))
    parts = [OPENING, "## Number of cases", _table(("", *columns), counted), lettered]
    parts += ["## Pairs", _pairs(all_rows), "## What does not exist", _not_there()]
    for family in families:
        own = [row for row in all_rows if row.family == family]
        reasons = _numbered(own, columns)
        cells = [
            (f"`{row.name}`", row.case.tier.value, row.claim, *(_cell(row, own, name, reasons) for name in columns))
            for row in own
        ]
        parts += [f"## {family}", _table(("case", "tier", "what it tests", *columns), cells)]
        below = [f"- {', '.join(names)}: {why}" for why, names in _notes(own, columns).items()]
        below += [f"- ({number}) {why}" for why, number in reasons.items()]
        parts += ["\n".join(below)] if below else []
    return "\n\n".join(part.strip() for part in parts) + "\n"


def empty(row: Row, own: Sequence[Row], scheduler: str) -> list[str]:
    """Return the reasons why a case is not planned on a scheduler on which its family has other cases."""
    namesake = any(each.cell(scheduler) for each in own if each.name == row.name)
    return [] if namesake else why_empty(row.full_name, scheduler)


def _numbered(own: Sequence[Row], columns: Sequence[str]) -> dict[str, int]:
    """Return the reasons for the empty cells of a family, each with its number."""
    reasons = (why for row in own for name in columns if not _filled(row, name) for why in empty(row, own, name))
    return {why: number for number, why in enumerate(dict.fromkeys(reasons), start=1)}


def _cell(row: Row, own: Sequence[Row], scheduler: str, reasons: dict[str, int]) -> str:
    filled = _filled(row, scheduler)
    return filled or " ".join(f"({reasons[why]})" for why in empty(row, own, scheduler))


def _filled(row: Row, scheduler: str) -> str:
    """Return what a cell holds other than numbers: its plan, or the letters of the reasons for its whole family."""
    return row.cell(scheduler) or " ".join(f"({letter})" for letter in unplanned(row.family, scheduler))


def _judges() -> Iterator[Callable[..., Any]]:
    for module in pkgutil.iter_modules(integration.__path__):
        if module.name.startswith("test_"):
            for value in vars(import_module(f"{integration.__name__}.{module.name}")).values():
                if hasattr(value, "exaworks_cases"):
                    yield value


def _claim(judge: Callable[..., Any]) -> str:
    return judge.__name__.removeprefix("test_").replace("_", " ")


def _linked(family: str) -> str:
    anchor = "".join(sign for sign in family if sign.isalnum() or sign in "-_ ").replace(" ", "-")
    return f"[{family}](#{anchor})"


def _notes(own: Sequence[Row], columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the notes below a table, each with the cases it is about: known failures, versions, needs and GPUs."""
    notes: dict[str, list[str]] = {}
    for row in own:
        texts = [row.known_failure(name) or "" for name in columns if row.cell(name) == BROKEN]
        texts += [f"runs only with {name} {version}" for name, version in row.case.versions.items()]
        texts += [f"skipped where there is no {NEEDS[need].what}" for need in row.case.needs]
        texts += ["planned only where the site file states that nodes have GPUs"] if row.case.gpus else []
        for why in dict.fromkeys(texts):
            notes.setdefault(why, []).append(f"`{row.name}`")
    return notes


def _count(all_rows: Sequence[Row], family: str, scheduler: str) -> str:
    cells = [cell for row in all_rows if row.family == family and (cell := row.cell(scheduler))]
    if not cells:
        return " ".join(f"({letter})" for letter in unplanned(family, scheduler))
    broken = cells.count(BROKEN)
    return f"{len(cells)}, {broken} {BROKEN}" if broken else str(len(cells))


def _pairs(all_rows: Sequence[Row]) -> str:
    lines = []
    for component, partner in MEANT:
        own = [row for row in all_rows if row.case.component == component and row.case.partners == (partner,)]
        names = ", ".join(f"`{row.name}`" for row in own) or "none yet"
        lines.append((f"{component} with {partner}", names))
    return _table(("pair", "cases"), lines)


def _not_there() -> str:
    return _table(("", "reason", "upstream"), [(each.what, each.why, f"<{each.reference}>") for each in NOT_THERE])


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    table_lines = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in table_lines)


@click.command(epilog=f"\b\nExamples:\n  {COMMAND}\n  python -m sdk_tests.plan.matrix")
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the page to this file instead of standard output.",
)
def main(to: Path | None) -> None:
    """Print the matrix of components, pairs, cases and schedulers."""
    page = matrix(rows(), schedulers())
    if to is None:
        click.echo(page, nl=False)
    else:
        to.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
