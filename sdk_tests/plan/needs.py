"""What cases need from the machine besides the components: the known needs, and the verdict where one is missing.

A case names its needs in ``@case(needs=...)``. The programs of all needs are looked up once for each deployment, by its
own interpreter on its own PATH (see ``sdk_tests.plan.probe``). A case without something that it needs is skipped, with
what to install; if the site file promises it, the case fails. Both are faults of the site.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dashboard_client.schema import Cause, CauseClass, Outcome, Phase
from sdk_tests.errors import PlanError
from sdk_tests.model.attempt import Judgement
from sdk_tests.model.case import Case
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.probe import DeploymentContents


@dataclass(frozen=True)
class Need:
    """One thing that a case may need: one of several programs, or a number of cores on each node.

    what: its name in messages. programs: the programs that provide it on every scheduler.
    of_scheduler: further programs that provide it on one kind of scheduler only; they come first. launcher: whether the
    first launcher that the site file or the testbed names for the scheduler replaces all these programs, because
    payloads use that one. install: what to install. cores: cores of a node; a number that is unknown is enough.
    """

    what: str
    programs: tuple[str, ...]
    install: str
    of_scheduler: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    launcher: bool = False
    cores: int = 0

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """Return the programs that provide it on a kind of scheduler."""
        return (*self.of_scheduler.get(kind, ()), *self.programs)


MPI_PACKAGES = "mpich or openmpi"

NEEDS: Mapping[str, Need] = {
    "mpi-launcher": Need(
        "MPI launcher",
        ("mpiexec", "mpirun"),
        MPI_PACKAGES,
        of_scheduler={"slurm": ("srun",), "lsf": ("jsrun", "lrun"), "cobalt": ("aprun",), "flux": ("flux",)},
        launcher=True,
    ),
    "mpiexec": Need("mpiexec", ("mpiexec",), MPI_PACKAGES),
    "mpirun": Need("mpirun", ("mpirun",), MPI_PACKAGES),
    "srun": Need("srun", ("srun",), "Slurm's client commands"),
    "compiler": Need("C compiler", ("cc", "gcc", "clang"), "gcc or clang"),
    "java": Need("java", ("java",), "a Java runtime"),
    "fuse": Need("FUSE", ("fusermount3", "fusermount"), "fuse3"),
    "several-cores": Need("several cores", (), "", cores=2),
}
"""The known needs, by the name that cases use. A program that starts processes without its scheduler, such as
``mpiexec``, provides an MPI launcher everywhere; ``srun`` provides one only on Slurm."""


TRIED = ("mpiexec", "mpirun")
"""The launchers that the preflight starts. The others start nothing outside an allocation."""


def tried_launchers(case: Case, available: AvailableScheduler, contents: DeploymentContents) -> list[str]:
    """Return the launchers of ``TRIED`` without which a case cannot pass here; none where it uses an allocation."""
    if available.kind.batch:
        return []
    used = []
    for need in (NEEDS[name] for name in case.needs):
        found = next((name for name in need.of_kind("local") if name in contents.programs), None)
        used += [found] if found in TRIED else []
    return used


def programs(schedulers: Iterable[AvailableScheduler]) -> set[str]:
    """Return the programs to look for: those of every need, and the launchers that the site file names."""
    needed = {name for need in NEEDS.values() for name in need.programs}
    of_kinds = {name for need in NEEDS.values() for names in need.of_scheduler.values() for name in names}
    return needed | of_kinds | {each.name for available in schedulers for each in available.kind.spec.launchers}


def judgement_of_needs(
    case: Case, scheduler: str, available: AvailableScheduler, contents: DeploymentContents, deployment: str
) -> Judgement | None:
    """Return the verdict for the first need of a case that is missing on a scheduler; None if nothing is missing.

    Raises:
        PlanError: the case names an unknown need.
    """
    for name in case.needs:
        need = NEEDS.get(name)
        if need is None:
            raise PlanError(
                f"case {case.case_id(scheduler)}: unknown need {name!r}; correct the argument `needs` of @case. "
                f"Known needs: {', '.join(NEEDS)}"
            )
        judgement = _judgement_of_need(need, scheduler, available, contents, deployment)
        if judgement:
            return judgement
    return None


def _judgement_of_need(
    need: Need, scheduler: str, available: AvailableScheduler, contents: DeploymentContents, deployment: str
) -> Judgement | None:
    if need.cores:
        return _judgement_of_cores(need, scheduler, available)
    spec = available.kind.spec
    wanted = need.of_kind(spec.kind)
    named = [each.name for each in spec.launchers]
    promised = named[:1] if need.launcher else [name for name in named if name.rpartition("/")[2] in wanted]
    if any(_on_path(name, available, contents) for name in promised or wanted):
        return None
    if promised and available.testbed is None:
        evidence = (
            f"no `{promised[0]}` on PATH of deployment {deployment}, although the site file names it under launchers: "
            f"of {scheduler}: install it, load its module in the deployment, or correct the site file"
        )
        return Judgement(Outcome.FAIL, _cause(Phase.PROBE, "promised-need-absent", evidence))
    names = ", ".join(promised or wanted)
    missing = need.what if names == need.what else f"{need.what} ({names})"
    evidence = f"no {missing} on PATH of deployment {deployment}: install {need.install}"
    if need.launcher and available.kind.batch and available.testbed is None:
        evidence += ", or name the machine's launcher under launchers: in the site file"
    return Judgement(Outcome.SKIP, _cause(Phase.PLAN, "need-absent", evidence))


def _judgement_of_cores(need: Need, scheduler: str, available: AvailableScheduler) -> Judgement | None:
    if available.kind.batch:
        known = available.probe.details.get("cores")
        cores = max(known.values(), default=need.cores) if isinstance(known, dict) else need.cores
    else:
        cores = len(os.sched_getaffinity(0))
    if cores >= need.cores:
        return None
    evidence = f"needs {need.cores} cores on a node; {scheduler} has {cores}: use larger nodes"
    return Judgement(Outcome.SKIP, _cause(Phase.PLAN, "need-absent", evidence))


def _on_path(program: str, available: AvailableScheduler, contents: DeploymentContents) -> bool:
    """Return whether payloads find a program: in the deployment, or in the modules of a nested scheduler."""
    if program in contents.programs:
        return True
    return available.outer is not None and bool(shutil.which(program, path=available.kind.env.get("PATH", "")))


def _cause(phase: Phase, rule: str, evidence: str) -> Cause:
    return Cause(phase=phase, cls=CauseClass.SITE, rule=rule, evidence=evidence)
