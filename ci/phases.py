"""The phases of a system's pipeline in order, each one ``exaworks`` command.

Building, installing and testing are separate phases, so that each is reported separately. The deployment decides which
phases exist: the release's Spack environment is concretized and installed, its pip environment is installed. A module,
an image or another environment is only validated, since it is installed already.
"""

from __future__ import annotations

from dataclasses import dataclass

from ci.limits import BUILD, HOUR, OWN, Times, stage_times, times
from site_configs.schema import System

TIERS = ("smoke", "integration", "scale")
STAGES = (
    *("setup", "concretize", "packages", "install", "release"),
    *("control", "smoke", "integration", "scale", "report", "cleanup"),
)
BUILT = "spack"
"""The deployment that the pipeline builds with Spack; ``spack:NAME`` is an environment that exists already."""
LOCKED = frozenset({"setup", "concretize", "install", "release"})
"""Phases that hold the lock of the work directory, since they change files that pipelines share."""


@dataclass(frozen=True)
class Phase:
    """One stage. ``argv``: the arguments of ``exaworks``. ``tier``: the smallest tier that includes the stage."""

    name: str
    argv: tuple[str, ...]
    times: Times
    tier: str = "smoke"
    tests: bool = False
    after: str | None = None
    scheduled: bool = False
    makes_jobs: bool = False
    """Whether a child pipeline follows, with one job for each package that has to be built."""


def only_inside(system: System) -> bool:
    """Return whether every job of the site's runner is a batch job, so that nothing can run beside the scheduler."""
    return system.runner.executor == "batch" and not system.runner.shell_tags


def phases(system: System, *, inside: bool | None = None) -> list[Phase]:
    """Return the phases of a system, in order; the test phases follow the last one that builds.

    inside: whether every phase runs inside an allocation. Then there is no control phase, since a control case submits
    a job from a login node; that the batch jobs start shows that the scheduler works. The default depends on the
    site's runner.
    """
    inside = only_inside(system) if inside is None else inside
    setup = Phase("setup", ("sites", "show", system.system), times(system, OWN))
    if BUILT in system.deployments:
        setup = Phase("setup", (*install_arguments(system), "--until", "packages"), times(system, HOUR))
    building = [setup, *_building(system)]
    return [*building, *_testing(system, building[-1].name, inside=inside)]


def planned(system: System, tier: str, *, scheduled: bool, inside: bool | None = None) -> list[Phase]:
    """Return the phases of a pipeline of this tier; ``scale`` runs only on a schedule."""
    return [
        phase
        for phase in phases(system, inside=inside)
        if TIERS.index(phase.tier) <= TIERS.index(tier) and (scheduled or not phase.scheduled)
    ]


def _building(system: System) -> list[Phase]:
    building = []
    if BUILT in system.deployments:
        install = install_arguments(system)
        building = [
            Phase(
                "concretize",
                (*install, "--until", "concretize"),
                times(system, 2 * HOUR),
                after="setup",
                makes_jobs=system.ci.package_jobs,
            ),
            Phase("install", install, times(system, BUILD), after="concretize"),
        ]
    pip = next((text for text in system.deployments if text.partition(":")[0] == "release"), None)
    if pip is not None:
        name, after = ("release", "install") if building else ("install", "setup")
        building.append(Phase(name, ("release", "install", *pip.split(":")[1:]), times(system, HOUR), after=after))
    return building


def install_arguments(system: System) -> tuple[str, ...]:
    """Return the arguments of ``exaworks`` that install the release with Spack in the work directory."""
    return ("install", *(["--site", system.system] if system.spack_scope else []))


def _testing(system: System, built: str, *, inside: bool) -> list[Phase]:
    first = built if inside else "control"

    def phase(name: str, *argv: str, tier: str = "smoke", after: str = first) -> Phase:
        return Phase(
            name,
            ("validate", *argv),
            stage_times(system, name),
            tier=tier,
            tests=True,
            after=after,
            scheduled=name == "scale",
        )

    control = [] if inside else [phase("control", "--component", "control", "--tier", "smoke", after=built)]
    return [
        *control,
        *(phase(tier, "--tier", tier, tier=tier) for tier in TIERS),
    ]
