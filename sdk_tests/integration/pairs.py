"""The pairs of components that are meant to work together, and ways of putting two together that do not exist.

A pair that is meant is proved by cases with that component and that partner; what does not exist names where its
upstream shows so. ``docs/matrix.md``, ``exaworks validate --list`` and the report of a run show both from here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NotThere:
    """Something a reader may look for: ``what``, why there is none, and where upstream shows it.

    case: the id that its cases would have, without a scheduler where it is the same on all.
    """

    case: str
    what: str
    why: str
    reference: str

    @property
    def components(self) -> tuple[str, ...]:
        return tuple(self.case.partition("/")[0].split("+"))

    @property
    def scheduler(self) -> str:
        """The kind of scheduler on which it does not exist; empty for all."""
        return self.case.partition("@")[2]


MEANT: tuple[tuple[str, str], ...] = (
    ("flux", "flux"),
    ("parsl", "flux"),
    ("parsl", "radical.pilot"),
    ("psij", "flux"),
    ("psij", "radical.pilot"),
    ("radical.entk", "flux"),
    ("radical.pilot", "flux"),
    ("radical.pilot", "psij"),
    ("swift-t", "flux"),
    ("swift-t", "psij"),
)
"""Component and partner, in the order of a case id. Flux inside a batch job of Slurm or PBS is a case of Flux alone."""

NOT_THERE: tuple[NotThere, ...] = (
    NotThere(
        "psij/staging",
        "PSI/J staging files in and out",
        "a job's specification in psij 0.9.11 has nothing for it: arguments, environment, streams, scripts before and "
        "after. It was proposed and is not merged",
        "https://github.com/ExaWorks/psij-python/pull/450",
    ),
    NotThere(
        "parsl+psij/provider",
        "Parsl over PSI/J",
        "Parsl has no provider that submits through PSI/J. One is kept in a repository of its own and on no package "
        "index; its last commit, of July 2022, imports `parsl.providers.provider_base`, which Parsl 2026.10.26 has no "
        "longer, and so does not load",
        "https://github.com/ExaWorks/psi-j-parsl",
    ),
    NotThere(
        "swift-t/submit@flux",
        "Swift/T submitting to Flux",
        "`swift-t -m` of 1.6 knows Slurm, PBS, LSF, Cobalt, SGE and PSI/J. In Flux its ranks are started by `flux run`",
        "https://github.com/swift-lang/swift-t/tree/master/turbine/code/scripts/submit",
    ),
    NotThere(
        "swift-t+psij/submit@flux",
        "Swift/T through PSI/J to Flux",
        "turbine 1.5.2 says how many processes a node has, and PSI/J 0.9.11 answers: Flux does not support "
        "processes_per_node",
        "https://github.com/swift-lang/swift-t/tree/master/turbine/code/scripts/submit/psij",
    ),
)


@dataclass(frozen=True)
class Unplanned:
    """Why a component, or a pair, has no case at all on some schedulers."""

    families: tuple[str, ...]
    schedulers: tuple[str, ...]
    why: str


UNPLANNED: tuple[Unplanned, ...] = (
    Unplanned(("maestro",), ("cobalt", "pbs"), "Maestro 1.2 has adapters for Slurm, LSF and Flux alone"),
    Unplanned(
        ("swift-t+psij",),
        ("cobalt", "flux", "lsf"),
        "turbine 1.5.2 hands a job to PSI/J for Slurm and PBS alone",
    ),
    Unplanned(
        ("radical.pilot", "radical.pilot+flux", "radical.pilot+psij", "radical.entk", "radical.entk+flux"),
        ("cobalt",),
        "RADICAL-Pilot submits its pilot by PSI/J, of which Cobalt refuses each job: `hello` of psij",
    ),
    Unplanned(
        ("radical.pilot", "radical.pilot+flux", "radical.pilot+psij", "radical.entk", "radical.entk+flux"),
        ("lsf",),
        "radical.saga 1.103 knows the LSF of Summit, Ascent and Lassen alone "
        "(adaptors/lsf/lsfjob.py in <https://github.com/radical-cybertools/radical.saga>); submitted by PSI/J, a "
        "pilot's agent ran on the emulated LSF and did no task in five minutes, which is not understood",
    ),
    Unplanned(
        ("radical.pilot", "radical.pilot+psij", "radical.entk", "radical.entk+flux"),
        ("flux",),
        "RADICAL-Pilot submits no pilot to Flux; inside a job of Flux it is the pair radical.pilot+flux",
    ),
    Unplanned(("radical.entk+flux",), ("pbs",), "how the pilot starts Flux there is the pair radical.pilot+flux"),
    Unplanned(("radical.pilot+psij",), ("local",), "here a pilot is no job that anything submits"),
    Unplanned(
        ("psij+radical.pilot", "parsl+radical.pilot"),
        ("cobalt", "flux", "lsf", "pbs", "slurm"),
        "what the pilot runs is the same wherever it is; where it gets its job is for the cases of radical.pilot",
    ),
)
"""Every empty cell of the overview has its reason here."""


def why_not(family: str, kind: str) -> list[str]:
    """Return the reasons for which a family has no case on a kind of scheduler."""
    return [each.why for each in UNPLANNED if family in each.families and kind in each.schedulers]
