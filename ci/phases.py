"""What a system's pipeline consists of: its phases in order, each one ``exaworks`` command.

Building, installing and testing are phases of their own, so that each is reported by itself. Which there are follows
from the deployment: the release's Spack environment is concretized and installed, its pip environment installed, and a
module, an image or another environment is only validated, since somebody else installed it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ci.limits import BUILD, HOUR, OWN, Times, stage_times, times
from site_configs.schema import System

TIERS = ("smoke", "integration", "scale")
STAGES = ("setup", "concretize", "packages", "install", "control", "smoke", "integration", "scale", "report", "cleanup")
BUILT = "spack"
"""A deployment that the pipeline builds; ``spack:NAME`` is one that somebody else has built."""
LOCKED = frozenset({"setup", "concretize", "install"})
"""These change what pipelines share in the work directory, so they hold its lock."""


@dataclass(frozen=True)
class Phase:
    """One stage: ``argv`` are the words after ``exaworks``; ``tier`` is the least tier that includes it."""

    name: str
    argv: tuple[str, ...]
    times: Times
    tier: str = "smoke"
    tests: bool = False
    after: str | None = None
    scheduled: bool = False
    makes_jobs: bool = False
    """A pipeline of its own follows, with a job for each package that is to be built."""


def deployment_kind(system: System) -> str:
    """Return the first word of the site file's deployment; ``path`` where it names none."""
    return (system.deployment or "path").partition(":")[0]


def phases(system: System) -> list[Phase]:
    """Return the phases of a system, in order; the tests come after the last one that builds."""
    setup = Phase("setup", ("sites", "show", system.system), times(system, OWN))
    if system.deployment == BUILT:
        setup = Phase("setup", (*install_words(system), "--until", "packages"), times(system, HOUR))
    building = [setup, *_building(system)]
    return [*building, *_testing(system, building[-1].name)]


def planned(system: System, tier: str, *, scheduled: bool) -> list[Phase]:
    """Return the phases that a pipeline of this tier consists of; ``scale`` runs on a schedule only."""
    return [
        phase
        for phase in phases(system)
        if TIERS.index(phase.tier) <= TIERS.index(tier) and (scheduled or not phase.scheduled)
    ]


def _building(system: System) -> list[Phase]:
    kind = deployment_kind(system)
    if kind == "release":
        name = (system.deployment or "").partition(":")[2]
        return [Phase("install", ("release", "install", *([name] if name else [])), times(system, HOUR), after="setup")]
    if system.deployment == BUILT:
        install = install_words(system)
        return [
            Phase(
                "concretize",
                (*install, "--until", "concretize"),
                times(system, 2 * HOUR),
                after="setup",
                makes_jobs=system.ci.package_jobs,
            ),
            Phase("install", install, times(system, BUILD), after="concretize"),
        ]
    return []


def install_words(system: System) -> tuple[str, ...]:
    """Return the words that install the release with Spack in the work directory."""
    return ("install", *(["--site", system.system] if system.spack_scope else []))


def _testing(system: System, built: str) -> list[Phase]:
    def phase(name: str, *argv: str, tier: str = "smoke", after: str = "control") -> Phase:
        return Phase(
            name,
            ("validate", *argv),
            stage_times(system, name),
            tier=tier,
            tests=True,
            after=after,
            scheduled=name == "scale",
        )

    return [
        phase("control", "--component", "control", "--tier", "smoke", after=built),
        *(phase(tier, "--tier", tier, tier=tier) for tier in TIERS),
    ]
