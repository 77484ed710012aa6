"""Which cases of a generated history fail, in which nights, and why.

Most failures of real systems are few, last for some nights, and have causes that several systems share. By default
about 95 % of the judged cases of a night pass. A bad night adds, to the last night, a broken version of Parsl on most
systems, an outage of one site, and a system on which nothing works. In both, one system has been silent for three
nights. Equal shapes give equal failures.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timezone

from dashboard_client.schema import CauseClass, Outcome, Phase

SUBJECTS = ("control", "psij", "parsl", "flux", "swift-t", "radical.pilot", "radical.entk", "parsl+psij", "parsl+flux")
SITES = ("alcf", "llnl", "nersc", "olcf", "csc", "jsc", "riken", "cscs")
LARGE = 400
"""With more systems than this, there are more sites: one for each hundred systems."""

Failure = tuple[Outcome, CauseClass, Phase, str, str]

FAILURES: tuple[Failure, ...] = (
    (Outcome.FAIL, CauseClass.COMPONENT, Phase.JUDGE, "assertion", "greeting was 'Hello', not 'Hello World!'"),
    (
        Outcome.FAIL,
        CauseClass.DISTRIBUTION,
        Phase.PROBE,
        "version",
        "found parsl 2026.02.16, the release has 2026.10.26",
    ),
    (Outcome.ERROR, CauseClass.UNKNOWN, Phase.RUN, "unclassified", "the payload ended with signal 9"),
    (Outcome.INFRA, CauseClass.SCHEDULER, Phase.QUEUE, "queue-wait", "waited 1800 s in queue debug"),
    (Outcome.INFRA, CauseClass.SITE, Phase.LAUNCH, "node-failure", "node nid001234 went down"),
    (Outcome.XFAIL, CauseClass.COMPONENT, Phase.RUN, "waiver", "KeyError: 'reason', known upstream"),
    (Outcome.SKIP, CauseClass.SITE, Phase.PROBE, "absent", "no flux on PATH of deployment spack"),
    (
        Outcome.FAIL,
        CauseClass.DISTRIBUTION,
        Phase.RUN,
        "import",
        "ImportError: typeguard 4.6 has no check_argument_types",
    ),
    (Outcome.INFRA, CauseClass.SITE, Phase.SUBMIT, "maintenance", "sbatch: error: Required partition is down"),
)
VERSION, ERROR, QUEUE, NODE, KNOWN, ABSENT, BROKEN, OUTAGE = range(1, 9)
ASSERTION = 0
MISSING = len(FAILURES)
"""The index of a failure without a record."""

Spell = tuple[int, int, int]
"""A failure of a case: the first night, the night after the last one, and its index in FAILURES."""

SILENT_NIGHTS = 3


@dataclass(frozen=True)
class Shape:
    """The size of a history, and the time of its last night."""

    systems: int = 40
    cases: int = 300
    nights: int = 167
    ends: datetime = field(default_factory=lambda: datetime.now(timezone.utc).replace(microsecond=0))
    bad_night: bool = False

    @classmethod
    def of(cls, records: int, systems: int = 40, cases: int = 300, bad_night: bool = False) -> Shape:
        """Return a shape with about ``records`` records, by the number of nights."""
        return cls(systems, cases, max(records // (systems * cases), 1), bad_night=bad_night)

    def site_of(self, number: int) -> str:
        """Return the site of a system."""
        site = SITES[number % len(SITES)]
        return site if self.systems <= LARGE else f"{site}-{number // len(SITES) * len(SITES) // 100:02}"

    def is_silent(self, number: int, night: int) -> bool:
        """Return whether a system starts no run in a night: one in fifty is silent for the last nights."""
        silent = number % 50 == 6 and self.nights > SILENT_NIGHTS + 1
        return silent and night >= self.nights - SILENT_NIGHTS


def spells_of(number: int, shape: Shape) -> list[list[Spell]]:
    """Return the failures of each case of a system."""
    chance = random.Random(number)
    cases: list[list[Spell]] = [[] for _ in range(shape.cases)]
    subjects = [SUBJECTS[place % len(SUBJECTS)] for place in range(shape.cases)]
    if shape.bad_night:
        _add_bad_night(cases, subjects, number, shape)
    for place, subject in enumerate(subjects):
        if subject == "parsl+flux" and number % 5 == 4:
            cases[place].append((0, shape.nights, KNOWN))
        elif subject == "swift-t" and number % 4 == 3:
            cases[place].append((0, shape.nights, ABSENT))
        elif chance.random() < 0.01:
            cases[place] += _flips(chance, shape)
        else:
            cases[place] += _single_failures(chance, subject, shape)
    _add_incidents(chance, cases, subjects, shape)
    return cases


def _single_failures(chance: random.Random, subject: str, shape: Shape) -> list[Spell]:
    """Return the failures of one case that no other case shares; one in two hundred has failed for long."""
    if subject != "control" and chance.random() < 0.005:
        return [(max(shape.nights - chance.randrange(10, 60), 0), shape.nights, ASSERTION)]
    spells, night = [], int(chance.expovariate(0.008))
    while night < shape.nights:
        length = chance.choice((1, 1, 1, 2, 3, 6))
        spells.append((night, night + length, chance.choice((ASSERTION, ERROR, QUEUE, NODE, MISSING))))
        night += length + int(chance.expovariate(0.008)) + 1
    return spells


def _flips(chance: random.Random, shape: Shape) -> list[Spell]:
    """Return the failures of an unreliable case: it fails in one of four nights, at random."""
    return [(night, night + 1, ASSERTION) for night in range(shape.nights) if chance.random() < 0.25]


def _add_incidents(chance: random.Random, cases: list[list[Spell]], subjects: list[str], shape: Shape) -> None:
    """Add failures that many cases of a system share: a component that breaks, a scheduler that is down."""
    night = int(chance.expovariate(0.03))
    while night < shape.nights:
        kind = chance.choice((VERSION, BROKEN, QUEUE, MISSING))
        broken = chance.choice(SUBJECTS[1:])
        for place, subject in enumerate(subjects):
            if subject == broken or (kind == QUEUE and chance.random() < 0.1):
                cases[place].append((night, night + chance.choice((1, 2)), kind))
        night += int(chance.expovariate(0.03)) + 3


def _add_bad_night(cases: list[list[Spell]], subjects: list[str], number: int, shape: Shape) -> None:
    """Let the last night go wrong; these failures come first, so that they hide others."""
    last = shape.nights - 1
    for place, subject in enumerate(subjects):
        if number % len(SITES) == 2:
            kind: int | None = OUTAGE
        elif number % len(SITES) == 5 and number < len(SITES):
            kind = MISSING if place % 3 else ERROR
        else:
            kind = BROKEN if "parsl" in subject.split("+") and number % 3 else None
        if kind is not None:
            cases[place].insert(0, (last, shape.nights, kind))
