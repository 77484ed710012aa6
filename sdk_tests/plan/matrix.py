"""The matrix of ``docs/matrix.md``, made from the cases themselves: ``python -m sdk_tests.plan.matrix --to docs/matrix.md``.

It says what is planned for each kind of scheduler, not what passed: that is in the report of a run.
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
from sdk_tests.schedulers.registry import kinds

COMMAND = "python -m sdk_tests.plan.matrix --to docs/matrix.md"
PLANNED, BROKEN = "yes", "fails"
LETTERS = string.ascii_lowercase

OPENING = f"""\
# Matrix

Which component, and which pair of components, is tested through which kind of scheduler, by which cases. This page is
made from the cases: `{COMMAND}`.

A cell is planned wherever a system has that scheduler; whether it ran and what it came to is in the report of a run.
Where a component or a partner is not deployed, its cells are skipped, or fail if the release or the site file promises
it. *{BROKEN}* marks what is known to fail for a reason that is not ours; once it passes, it is told as `xpass`. Tiers:
`smoke` is part of `integration`, which is part of `scale`. `/2n` is a case on two nodes.

An empty cell has its reason: a number leads to the list below its own table, a letter, where a component or a pair has
no case at all on a scheduler, to the list below the first.
"""


@dataclass(frozen=True)
class Row:
    """One case and what its judge claims."""

    case: Case
    claim: str

    @property
    def family(self) -> str:
        return "+".join((self.case.component, *self.case.partners))

    @property
    def name(self) -> str:
        """The case's id without its family and scheduler."""
        start, _, nodes = self.case.case_id("*").partition("@*")
        return start.partition("/")[2] + nodes

    @property
    def full_name(self) -> str:
        return f"{self.family}/{self.name}"

    def cell(self, scheduler: str) -> str:
        """Say what is planned for a scheduler: nothing, a run, or one that is known to fail."""
        if not any(fnmatchcase(scheduler, pattern) for pattern in self.case.schedulers):
            return ""
        return BROKEN if self.known(scheduler) else PLANNED

    def known(self, scheduler: str) -> str | None:
        """Return why the case is known to fail there."""
        return self.case.xfail or self.case.broken_on.get(scheduler)


def rows() -> list[Row]:
    """Return every case of the integration package, by family and in the order in which they are written."""
    found = [Row(case, _claim(judge)) for judge in _judges() for case in judge.exaworks_cases]  # type: ignore[attr-defined]
    return sorted(found, key=lambda row: (row.case.component != CONTROL, row.family))


def schedulers() -> list[str]:
    """Return the kinds of scheduler that come with the harness, this machine's own first."""
    ours = [name for name, kind in kinds().items() if kind.__module__.startswith("sdk_tests.")]
    return sorted(ours, key=lambda name: (name != "local", name))


def unplanned(family: str, scheduler: str) -> list[str]:
    """Return the letters of the reasons for which a family has no case on a scheduler."""
    lettered = zip(LETTERS, UNPLANNED, strict=False)
    return [letter for letter, each in lettered if family in each.families and scheduler in each.schedulers]


def matrix(found: Sequence[Row], columns: Sequence[str]) -> str:
    """Return the whole page."""
    families = list(dict.fromkeys(row.family for row in found))
    counted = [(_linked(family), *(_count(found, family, name) for name in columns)) for family in families]
    lettered = "\n".join(f"- ({letter}) {each.why}" for letter, each in zip(LETTERS, UNPLANNED, strict=False))
    parts = [OPENING, "## Cases of each", _table(("", *columns), counted), lettered]
    parts += ["## Pairs", _pairs(found), "## What does not exist", _not_there()]
    for family in families:
        own = [row for row in found if row.family == family]
        reasons = _numbered(own, columns)
        cells = [
            (f"`{row.name}`", row.case.tier.value, row.claim, *(_cell(row, own, name, reasons) for name in columns))
            for row in own
        ]
        parts += [f"## {family}", _table(("case", "tier", "what it proves", *columns), cells)]
        below = [f"- {', '.join(names)}: {why}" for why, names in _notes(own, columns).items()]
        below += [f"- ({number}) {why}" for why, number in reasons.items()]
        parts += ["\n".join(below)] if below else []
    return "\n\n".join(part.strip() for part in parts) + "\n"


def empty(row: Row, own: Sequence[Row], scheduler: str) -> list[str]:
    """Return the reasons for which a case is not planned on a scheduler where its family has others."""
    namesake = any(each.cell(scheduler) for each in own if each.name == row.name)
    return [] if namesake else why_empty(row.full_name, scheduler)


def _numbered(own: Sequence[Row], columns: Sequence[str]) -> dict[str, int]:
    """Return the reasons for a family's empty cells, each with a number."""
    said = (why for row in own for name in columns if not _elsewhere(row, name) for why in empty(row, own, name))
    return {why: number for number, why in enumerate(dict.fromkeys(said), start=1)}


def _cell(row: Row, own: Sequence[Row], scheduler: str, reasons: dict[str, int]) -> str:
    letters = _elsewhere(row, scheduler)
    return letters or " ".join(f"({reasons[why]})" for why in empty(row, own, scheduler))


def _elsewhere(row: Row, scheduler: str) -> str:
    """Return what a cell holds but numbers: what is planned, or the letters of what keeps its whole family away."""
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
    """Return what there is to say of some cases, each with their names: why they fail, for which version they are."""
    notes: dict[str, list[str]] = {}
    for row in own:
        said = [row.known(name) or "" for name in columns if row.cell(name) == BROKEN]
        said += [f"meant for {name} {version} alone" for name, version in row.case.versions.items()]
        said += ["planned where the site file gives nodes GPUs"] if row.case.gpus else []
        for why in dict.fromkeys(said):
            notes.setdefault(why, []).append(f"`{row.name}`")
    return notes


def _count(found: Sequence[Row], family: str, scheduler: str) -> str:
    cells = [cell for row in found if row.family == family and (cell := row.cell(scheduler))]
    if not cells:
        return " ".join(f"({letter})" for letter in unplanned(family, scheduler))
    broken = cells.count(BROKEN)
    return f"{len(cells)}, {broken} {BROKEN}" if broken else str(len(cells))


def _pairs(found: Sequence[Row]) -> str:
    lines = []
    for component, partner in MEANT:
        own = [row for row in found if row.case.component == component and row.case.partners == (partner,)]
        named = ", ".join(f"`{row.name}`" for row in own) or "none yet"
        lines.append((f"{component} with {partner}", named))
    return _table(("pair", "cases"), lines)


def _not_there() -> str:
    return _table(("", "why", "upstream"), [(each.what, each.why, f"<{each.reference}>") for each in NOT_THERE])


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    drawn = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in drawn)


@click.command(epilog=f"\b\nExamples:\n  {COMMAND}\n  python -m sdk_tests.plan.matrix")
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="Write the page there instead of printing it."
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
