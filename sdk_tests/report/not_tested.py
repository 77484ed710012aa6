"""What a run does not test, by reason: what is missing on the machine, how to get it, and how many cases need it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from dashboard_client.schema import CONTROL, Cause
from sdk_tests.plan.components import ComponentKind, components
from sdk_tests.report.text import one_line
from sdk_tests.report.view import Line, cases

SHOWN = 8
"""Reasons that have a line of their own; the others are counted."""

LONGEST = 110
"""Characters of a reason on its line."""

TITLES = {
    "cobalt": "Cobalt",
    "colmena": "Colmena",
    "dask": "Dask",
    "flux": "Flux",
    "globus-compute": "Globus Compute",
    "libensemble": "libEnsemble",
    "lsf": "LSF",
    "maestro": "Maestro",
    "parsl": "Parsl",
    "pbs": "PBS",
    "psij": "PSI/J",
    "radical.entk": "EnTK",
    "radical.pilot": "RADICAL-Pilot",
    "slurm": "Slurm",
    "swift-t": "Swift/T",
}
"""The names of schedulers and components as people write them; any other name is shown as it is."""

BUILT = {
    "flux": "`exaworks install` builds it",
    "swift-t": "`exaworks install` builds it",
}
"""How to get what pip does not install."""


OF_COMPONENTS = ("not-deployed", "promised-absent", "version-mismatch", "other-version")
"""The rules of the plan that are about a component, and not about the machine."""


SHORTER = (
    (r" on PATH of deployment [^:;,]+", " on PATH"),
    (r"^left out of deployment [^:]+: ", "left out: "),
    (r" for [/~].* of deployment .*$", ""),
)
"""Parts of reasons that a line has no room for, and what stands there instead; `--list` shows all of it."""


@dataclass(frozen=True)
class Undone:
    """A case that does not run: its components, its scheduler, and why."""

    components: tuple[str, ...]
    scheduler: str
    cause: Cause


@dataclass(frozen=True)
class NotTested:
    """One thing that is missing, or one other reason; how many cases it prevents."""

    title: str
    reason: str
    cases: int


def undone(lines: Iterable[Line]) -> list[Undone]:
    """Return the skipped cases of a run."""
    return [
        Undone((line.planned.component, *line.planned.partners), line.planned.scheduler, line.cause)
        for line in lines
        if line.state == "skip" and line.cause is not None
    ]


def not_tested(without_run: Sequence[Undone]) -> list[NotTested]:
    """Return the reasons, those that prevent most cases first. Each case counts once."""
    groups: dict[str, list[Undone]] = {}
    for each in without_run:
        groups.setdefault(_key(each), []).append(each)
    merged: dict[str, list[NotTested]] = {}
    for members in groups.values():
        title = _title(members)
        merged.setdefault(title, []).append(NotTested(title, _reason(members), len(members)))
    entries = [
        NotTested(title, max(parts, key=lambda part: part.cases).reason, sum(part.cases for part in parts))
        for title, parts in merged.items()
    ]
    return sorted(entries, key=lambda entry: -entry.cases)


def rows(entries: Sequence[NotTested]) -> Iterator[str]:
    """Yield a line for each reason; reasons beyond a number are counted."""
    shown, rest = entries[:SHOWN], entries[SHOWN:]
    width = max((len(one_line(entry.title, 40)) for entry in shown), default=0)
    for entry in shown:
        yield f"  {one_line(entry.title, 40):<{width}}  {cases(entry.cases):>9}  {one_line(entry.reason, LONGEST)}"
    if rest:
        yield f"  {len(rest)} further reasons: {cases(sum(entry.cases for entry in rest))}"


def _key(each: Undone) -> str:
    """Return what cases with the same reason have in common: what to install, or the reason itself."""
    rule, evidence = each.cause.rule, each.cause.evidence
    if rule == "scheduler-absent":
        return f"scheduler {each.scheduler}"
    if _absent_extra(each):
        return "extra components"
    return f"need {_install(evidence)}" if rule == "need-absent" else evidence


@cache
def _extras() -> dict[str, ComponentKind]:
    return {name: kind for name, kind in components().items() if kind.extra}


def _absent_extra(each: Undone) -> str | None:
    """Return the component outside the release without which a case cannot run; None if something else is missing."""
    if each.cause.rule != "not-deployed":
        return None
    extras = [name for name in each.components if name in _extras()]
    return next((name for name in extras if f"{_extras()[name].distribution!r}" in each.cause.evidence), None)


def _absent_extras(members: Sequence[Undone]) -> list[str]:
    """Return the names of the components outside the release that are missing, if there are several."""
    names = sorted({name for each in members if (name := _absent_extra(each))})
    return names if len(names) > 1 else []


def _install(evidence: str) -> str:
    """Return what to install, as the end of the reason why a need is not met."""
    return evidence.partition(": ")[2].partition(", or name")[0] or evidence


def _title(members: Sequence[Undone]) -> str:
    first = members[0]
    rule, evidence = first.cause.rule, first.cause.evidence
    if _absent_extras(members):
        return "extra components"
    if rule == "scheduler-absent":
        outer, _, inner = first.scheduler.rpartition("+")
        return f"{_named(inner)} in {_named(outer)}" if outer else _named(inner)
    if rule == "need-absent" and evidence.startswith("no "):
        return evidence.removeprefix("no ").partition(" on PATH")[0].partition(" (")[0]
    if rule in OF_COMPONENTS:
        return ", ".join(_named(name) for name in missing_components(members))
    return rule.replace("-", " ")


def missing_components(members: Sequence[Undone]) -> list[str]:
    """Return the components that explain all cases with one reason: one that they share, or else the fewest."""
    open_sets = [set(each.components) - {CONTROL} for each in members]
    chosen: list[str] = []
    while any(open_sets):
        counts = Counter(name for names in open_sets for name in names)
        alone = {next(iter(names)) for names in open_sets if len(names) == 1}
        best = max(sorted(counts), key=lambda name: (counts[name], name in alone))
        chosen.append(best)
        open_sets = [names for names in open_sets if names and best not in names]
    return chosen


def _reason(members: Sequence[Undone]) -> str:
    """Return why the cases cannot run, or rather what to do about it, on one short line."""
    first = members[0]
    rule, evidence = first.cause.rule, first.cause.evidence
    if rule == "need-absent":
        return _install(evidence)
    if _absent_extras(members):
        return f"{', '.join(map(_named, _absent_extras(members)))}: docs/extending.md says how to add them"
    names: list[str] = []
    if rule == "scheduler-absent":
        names = [first.scheduler.rpartition("+")[2]]
    elif rule in OF_COMPONENTS:
        names = missing_components(members)
    built = {**BUILT, **{name: kind.extra for name, kind in _extras().items()}}
    how = next((f" ({built[name]})" for name in names if name in built), "")
    return one_line(_short(evidence, names), LONGEST - len(how)) + how


def _short(evidence: str, names: Sequence[str]) -> str:
    """Return a reason without what its title repeats and without paths; what to install is the best part of it."""
    _, install, packages = evidence.partition("; install ")
    if install:
        return f"install {packages}"
    for pattern, shorter in SHORTER:
        evidence = re.sub(pattern, shorter, evidence)
    return evidence.removeprefix(f"{names[0]}: ") if names else evidence


def _named(name: str) -> str:
    return "+".join(TITLES.get(part, part) for part in name.split("+"))
