"""The phases of a system's pipeline in order, each one ``exaworks`` command.

Building, installing and testing are separate phases, so that each is reported separately. The deployment decides which
phases exist: the release's Spack environment is concretized and installed, its pip environment is installed. A module,
an image or another environment is only validated, since it is installed already.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ci.errors import SiteValueError
from ci.limits import BUILD, HOUR, OWN, Times, stage_times, times
from site_configs.lanes import lanes
from site_configs.schema import System

TIERS = ("smoke", "integration", "scale")
STAGES = (
    *("setup", "concretize", "packages", "install", "release"),
    *("control", "smoke", "integration", "scale", "report", "cleanup"),
)
WITH_LANES = (
    *("setup", "control", "clone", "concretize", "install"),
    *("smoke", "integration", "scale", "report", "cleanup"),
)
"""The stages of a pipeline with lanes, which build and test after the control stage."""
BUILT = "spack"
"""The deployment that the pipeline builds with Spack; ``spack:NAME`` is an environment that exists already."""
CONDA = "conda"
"""The release's conda environment; ``conda:NAME`` is an environment that exists already."""
LOCKED = frozenset({"setup", "clone", "concretize", "install", "release"})
"""Stages that hold the lock of the work directory, or of the lane in it: they change files that pipelines share."""


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
    lane: str | None = None
    """The lane that the phase belongs to; None for those that all lanes share."""
    common: str | None = None
    """The name without that of the lane. The names of the first lane are plain, like the ids of its cases."""

    @property
    def stage(self) -> str:
        """The stage of GitLab in which the phases of all lanes run side by side."""
        return self.common or self.name


def with_deployment(system: System, deployment: str) -> System:
    """Return the system with one deployment instead of those of its site file, and of its lanes."""
    ci = msgspec.structs.replace(system.ci, lanes=[])
    return msgspec.structs.replace(system, deployment=deployment, ci=ci)


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
    if system.ci.lanes:
        return _with_lanes(system, inside=inside)
    setup = Phase("setup", ("sites", "show", system.system), times(system, OWN))
    if BUILT in system.deployments:
        setup = Phase("setup", (*install_arguments(system), "--until", "packages"), times(system, HOUR))
    building = [setup, *_building(system)]
    return [*building, *_testing(system, building[-1].name, inside=inside)]


def planned(
    system: System, tier: str, *, scheduled: bool, inside: bool | None = None, chosen: Sequence[str] = ()
) -> list[Phase]:
    """Return the phases of a pipeline of this tier; ``scale`` runs only on a schedule.

    chosen: the lanes that run; without any, all of them.

    Raises:
        SiteValueError: the site file has no such lane.
    """
    known = [lane.name for lane in lanes(system.ci.lanes)]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise SiteValueError(
            f"{unknown[0]!r} is not a lane of {system.system}; its lanes: {', '.join(known) or 'none'}."
        )
    return [
        phase
        for phase in phases(system, inside=inside)
        if (phase.lane is None or not chosen or phase.lane in chosen)
        and TIERS.index(phase.tier) <= TIERS.index(tier)
        and (scheduled or not phase.scheduled)
    ]


def _with_lanes(system: System, *, inside: bool) -> list[Phase]:
    """Return the phases of a pipeline with lanes: set-up and control once, then those of each lane.

    The control phase tests no deployment. A lane builds what it tests and tests it in a run of its own.
    """
    setup = Phase("setup", ("sites", "show", system.system), times(system, OWN))
    listed, before = [setup], setup.name
    if not inside:
        control = _testing(system, setup.name, inside=False, deployment="path")[0]
        listed, before = [setup, control], control.name
    for position, lane in enumerate(lanes(system.ci.lanes)):
        prefix = f"{lane.name}-" if position else ""
        own = msgspec.structs.replace(system, deployment=lane.deployment)
        building = _building(own)
        if lane.kind == "spack":
            clone = Phase("clone", (*install_arguments(own), "--until", "packages"), times(own, HOUR))
            building = [clone, dataclasses.replace(building[0], after=clone.name), *building[1:]]
        made = [phase.name for phase in building]
        testing = _testing(own, made[-1] if made else before, inside=True, deployment=lane.deployment)
        for place, phase in enumerate([*building, *testing]):
            after = phase.after if phase.after in made and place else before
            after = f"{prefix}{after}" if after in made else after
            name = f"{prefix}{phase.name}"
            listed.append(dataclasses.replace(phase, name=name, common=phase.name, after=after, lane=lane.name))
    return listed


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
    if CONDA in system.deployments:
        building.append(Phase("install", ("release", "conda", "--install"), times(system, 2 * HOUR), after="setup"))
    pip = next((text for text in system.deployments if text.partition(":")[0] == "release"), None)
    if pip is not None:
        name, after = ("release", "install") if building else ("install", "setup")
        building.append(Phase(name, ("release", "install", *pip.split(":")[1:]), times(system, HOUR), after=after))
    return building


def install_arguments(system: System) -> tuple[str, ...]:
    """Return the arguments of ``exaworks`` that install the release with Spack in the work directory."""
    return ("install", *(["--site", system.system] if system.spack_scope else []))


def _testing(system: System, built: str, *, inside: bool, deployment: str | None = None) -> list[Phase]:
    first = built if inside else "control"
    under_test = ("--deployment", deployment) if deployment is not None else ()

    def phase(name: str, *argv: str, tier: str = "smoke", after: str = first) -> Phase:
        return Phase(
            name,
            ("validate", *argv, *under_test),
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
