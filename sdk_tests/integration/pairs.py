"""The supported pairs of components, the combinations that do not exist, and the families without cases on a scheduler.

Every supported pair has cases with that component and that partner. A combination that does not exist has a link to the
upstream evidence. ``docs/matrix.md``, ``exaworks validate --list`` and the report of a run show this data.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NotThere:
    """A combination that a reader may look for: what it is, why it does not exist, and the upstream evidence.

    case: the id that its cases would have; without a scheduler if it does not exist on any scheduler.
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
        """The kind of scheduler on which it does not exist; empty for all kinds."""
        return self.case.partition("@")[2]


MEANT: tuple[tuple[str, str], ...] = (
    ("colmena", "parsl"),
    ("dask", "psij"),
    ("flux", "flux"),
    ("globus-compute", "parsl"),
    ("libensemble", "psij"),
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
"""Component and partner, in the order of a case id. Flux inside a batch job of Slurm or PBS is not a pair."""

NOT_THERE: tuple[NotThere, ...] = (
    NotThere(
        "psij/staging",
        "PSI/J staging files in and out",
        "the job specification of psij 0.9.11 has arguments, environment, streams, and scripts that run before and "
        "after the job, but no file staging. Staging was proposed and is not merged",
        "https://github.com/ExaWorks/psij-python/pull/450",
    ),
    NotThere(
        "parsl+psij/provider",
        "Parsl over PSI/J",
        "Parsl has no provider that submits through PSI/J. A separate repository contains one, which is on no package "
        "index. It cannot be imported: its last commit, of July 2022, imports `parsl.providers.provider_base`, which "
        "Parsl 2026.10.26 no longer contains",
        "https://github.com/ExaWorks/psi-j-parsl",
    ),
    NotThere(
        "swift-t/submit@flux",
        "Swift/T submitting to Flux",
        "`swift-t -m` of 1.6 supports Slurm, PBS, LSF, Cobalt, SGE and PSI/J. In Flux, `flux run` starts its ranks",
        "https://github.com/swift-lang/swift-t/tree/master/turbine/code/scripts/submit",
    ),
    NotThere(
        "swift-t+psij/submit@flux",
        "Swift/T through PSI/J to Flux",
        "turbine 1.5.2 sets the number of processes on each node, and PSI/J 0.9.11 refuses the job: Flux does not "
        "support processes_per_node",
        "https://github.com/swift-lang/swift-t/tree/master/turbine/code/scripts/submit/psij",
    ),
)


@dataclass(frozen=True)
class Unplanned:
    """The reason why a component, or a pair, has no case at all on some schedulers."""

    families: tuple[str, ...]
    schedulers: tuple[str, ...]
    why: str


UNPLANNED: tuple[Unplanned, ...] = (
    Unplanned(("maestro",), ("cobalt", "pbs"), "Maestro 1.2 has adapters only for Slurm, LSF and Flux"),
    Unplanned(
        ("globus-compute+parsl",),
        ("cobalt", "flux"),
        "Parsl has no provider for this scheduler; `endpoint` of globus-compute runs inside a job of it",
    ),
    Unplanned(
        ("swift-t+psij",),
        ("cobalt", "flux", "lsf"),
        "turbine 1.5.2 submits jobs through PSI/J only to Slurm and PBS",
    ),
    Unplanned(
        ("radical.pilot", "radical.pilot+flux", "radical.pilot+psij", "radical.entk", "radical.entk+flux"),
        ("cobalt",),
        "RADICAL-Pilot submits its pilot through PSI/J, and Cobalt refuses every job of PSI/J; see `hello` of psij",
    ),
    Unplanned(
        ("radical.pilot", "radical.pilot+flux", "radical.pilot+psij", "radical.entk", "radical.entk+flux"),
        ("lsf",),
        "radical.saga 1.103 supports only the LSF of Summit, Ascent and Lassen "
        "(adaptors/lsf/lsfjob.py in <https://github.com/radical-cybertools/radical.saga>); submitted through PSI/J, "
        "the agent of a pilot started on the emulated LSF but ran no task within five minutes; the cause is not known",
    ),
    Unplanned(
        ("radical.pilot", "radical.pilot+psij", "radical.entk"),
        ("flux",),
        "RADICAL-Pilot cannot submit a pilot to Flux; for a pilot inside a Flux job see the pairs radical.pilot+flux "
        "and radical.entk+flux",
    ),
    Unplanned(("radical.entk+flux",), ("pbs",), "the pair radical.pilot+flux tests how a pilot starts Flux there"),
    Unplanned(("radical.pilot+psij",), ("local",), "on `local` a pilot is a process and not a submitted job"),
    Unplanned(
        ("psij+radical.pilot", "parsl+radical.pilot"),
        ("cobalt", "flux", "lsf", "pbs", "slurm"),
        "the work inside a pilot does not depend on the scheduler; the cases of radical.pilot test how it gets its job",
    ),
)
"""The reason of every empty cell of the overview."""


def why_not(family: str, kind: str) -> list[str]:
    """Return the reasons why a family has no case on a kind of scheduler."""
    return [each.why for each in UNPLANNED if family in each.families and kind in each.schedulers]
