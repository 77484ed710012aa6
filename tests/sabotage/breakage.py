"""A breakage: what is broken on purpose, what is run then, and what the harness must report about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

FAMILIES = {
    "library": "a library of the deployment is broken, missing or of another version",
    "process": "an agent, worker or interchange dies or hangs",
    "launcher": "a launcher is absent, refuses, or belongs to another MPI",
    "scheduler": "the scheduler refuses, is silent, answers garbage, or loses or holds a job",
    "dialect": "a scheduler other than Slurm refuses, is silent, or answers garbage",
    "node": "limits, disks, TMPDIR, memory of the node",
    "network": "loopback, ports, names, proxies",
    "activation": "the activation of the deployment prints, fails, asks or is slow",
    "environment": "variables of the user: PYTHONPATH, LD_PRELOAD, LANG, HOME, umask",
}


@dataclass(frozen=True)
class Breakage:
    """One breakage, as data.

    broken: what is broken, for people. setup: the commands of bash that break it (``run.PROLOGUE`` has the functions
    and variables that they use). run: patterns of the cases; those of ``cases/`` have short time limits. scheduler: of
    the cases. outcome: those that are right, separated by ``|``; of every case that the patterns select. ``refused`` is
    a run that states its reason and exits with 2. cls: the fault classes that are right, in the same way. rule: a
    pattern of the rule. evidence: a pattern that the text shown about the failure must hold. advice: a pattern that the
    advice must hold. Without a failure there is none of the four. site: lines that are added to the site file.
    deployment: the value of ``--deployment``; empty: the release's components. own_network: whether it has a network of
    its own, without anything but a loopback interface that is down.
    """

    id: str
    family: str
    broken: str
    setup: str
    run: str
    outcome: str
    cls: str = ""
    rule: str = ""
    evidence: str = ""
    advice: str = ""
    scheduler: str = "local"
    site: str = ""
    deployment: str = ""
    needs: tuple[str, ...] = ()
    own_network: bool = False

    @property
    def passes(self) -> bool:
        """Whether the cases are to pass all the same."""
        return self.outcome == "pass"


@dataclass(frozen=True)
class Shown:
    """What a run showed about one case, or about itself: outcome, class, rule, and the texts for people."""

    case_id: str
    outcome: str
    cls: str = ""
    rule: str = ""
    evidence: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Score:
    """Whether a run reported a breakage rightly: in outcome, fault class (with the rule), evidence and advice."""

    breakage: Breakage
    shown: Shown
    false_green: bool
    outcome: bool
    cls: bool
    evidence: bool
    advice: bool

    @property
    def right(self) -> bool:
        return self.outcome and self.cls and self.evidence and self.advice and not self.false_green


def score(breakage: Breakage, shown: Shown) -> Score:
    """Return how right the report about one case is."""
    right = shown.outcome in breakage.outcome.split("|")
    green = shown.outcome in ("pass", "xpass", "skip")
    false_green = green and not right
    if shown.outcome == "pass" and right:
        return Score(breakage, shown, False, True, True, True, True)
    by_class = not breakage.cls or shown.cls in breakage.cls.split("|")
    by_rule = bool(re.search(breakage.rule, shown.rule))
    evidence = bool(re.search(breakage.evidence, shown.evidence, re.DOTALL))
    advice = bool(re.search(breakage.advice, shown.advice, re.DOTALL | re.IGNORECASE))
    return Score(breakage, shown, false_green, right, by_class and by_rule, evidence, advice)


def worst(scores: list[Score]) -> Score:
    """Return the score of the case that was reported worst."""
    return min(scores, key=lambda each: (each.right, each.outcome, each.cls, each.evidence, each.advice))
