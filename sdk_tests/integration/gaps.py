"""Why a case that there is on some schedulers has no cell on others; ``docs/matrix.md`` says it below each table.

Where a component or a pair has no case at all on a scheduler, ``pairs.py`` says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

OTHERS = ("cobalt", "lsf", "pbs")
"""Neither Slurm nor Flux."""


@dataclass(frozen=True)
class Gap:
    """Cases, as patterns of ``family/name``, that are not planned on some schedulers, and why."""

    cases: tuple[str, ...]
    schedulers: tuple[str, ...]
    why: str

    def covers(self, case: str, scheduler: str) -> bool:
        return scheduler in self.schedulers and any(fnmatchcase(case, pattern) for pattern in self.cases)


GAPS: tuple[Gap, ...] = (
    Gap(("*/2n",), ("local",), "one machine is one node"),
    Gap(
        ("flux/nodes/2n",),
        OTHERS,
        "brokers on several nodes find each other by the PMI of what starts them: of Slurm's `srun` or of `flux run`; "
        "here neither OpenPBS nor an emulated launcher has one",
    ),
    Gap(
        ("swift-t/nodes/2n",),
        OTHERS,
        "MPICH's mpiexec reaches further nodes by ssh, and a testbed's nodes have no such server",
    ),
    Gap(("swift-t/mpiexec",), ("local", *OTHERS), "there every case of Swift/T is started by mpiexec"),
    Gap(("swift-t/submit*",), ("local",), "nothing to submit to"),
    Gap(
        ("swift-t/submit*",),
        ("flux",),
        "Swift/T has no submitter for Flux, see [what does not exist](#what-does-not-exist)",
    ),
    Gap(
        ("swift-t/submit*",),
        ("lsf",),
        "its script for LSF starts the ranks by `jsrun`, whose stand-in starts processes that no MPI joins "
        "([turbine-lsf.sh.m4](https://github.com/swift-lang/swift-t/blob/master/turbine/code/scripts/submit/lsf/turbine-lsf.sh.m4))",
    ),
    Gap(
        ("swift-t/submit*",),
        ("cobalt",),
        "turbine 1.5.2's script for Cobalt ends in a bracket too many, and its first line stays as it is under the "
        "`m4 -P` it is made with: no shell runs it "
        "([turbine-cobalt.sh.m4](https://github.com/swift-lang/swift-t/blob/master/turbine/code/scripts/submit/cobalt/turbine-cobalt.sh.m4))",
    ),
    Gap(
        ("swift-t+psij/arguments",), ("pbs", "slurm"), "known to fail for what Swift/T does before a scheduler is asked"
    ),
    Gap(("parsl/htex:*",), ("cobalt",), "Parsl 2026.10.26 has no provider for Cobalt"),
    Gap(("parsl/htex:*",), ("flux",), "Parsl has no provider for Flux but an executor, which is the pair parsl+flux"),
    Gap(
        ("parsl/mpi:launcher=mpiexec",),
        ("local", "cobalt", "flux", "lsf"),
        "Parsl's MPIExecutor learns its nodes from `SLURM_NODELIST` or `PBS_NODEFILE` alone "
        "(parsl/executors/high_throughput/mpi_resource_management.py)",
    ),
    Gap(("*launcher=srun*",), ("local", "cobalt", "flux", "lsf", "pbs"), "`srun` is Slurm's"),
    Gap(
        ("psij/cancel_running",),
        ("lsf",),
        "psij 0.9.11 fails to read an end's reason from bjobs, and then waits for ever",
    ),
    Gap(("psij/cancel_queued",), ("local",), "nothing is queued"),
    Gap(
        ("psij/cancel_queued",),
        ("flux", *OTHERS),
        "the job is kept waiting by `--begin` of Slurm, which PSI/J hands on as it is; there `cancel_running` cancels",
    ),
    Gap(
        ("psij/walltime",),
        ("local",),
        "psij 0.9.11's local executor keeps to no duration (src/psij/executors/local.py)",
    ),
    Gap(("psij/walltime",), ("lsf",), "psij 0.9.11 fails to read an end's reason from bjobs, and then waits for ever"),
    Gap(
        ("psij/multi_node/2n",),
        ("flux",),
        "psij 0.9.11's executor for Flux takes neither nodes nor a launcher",
    ),
    Gap(
        ("psij/multi_node/2n",),
        ("cobalt",),
        "psij 0.9.11 submits no job to Cobalt, see `hello`",
    ),
    Gap(
        ("psij/multi_node/2n",),
        ("pbs",),
        "psij 0.9.11 has no launcher for mpiexec, and its mpirun reaches further nodes by ssh, of which a testbed's "
        "nodes have no server",
    ),
    Gap(
        ("psij/gpus",),
        ("local", "cobalt", "flux", "lsf", "pbs"),
        "psij 0.9.11 asks for GPUs by the process, and Slurm's is the one of its launchers that hands each its own",
    ),
    Gap(("psij/attach_failing",), ("local",), "PSI/J documents that a job it attached to ends with 0 there"),
    Gap(("psij/*executor=pbs_classic",), ("local", "cobalt", "flux", "lsf", "slurm"), "an executor for PBS"),
    Gap(
        ("psij/serialize_duration",),
        ("cobalt", "flux", "lsf", "pbs", "slurm"),
        "known to fail before any scheduler is asked",
    ),
    Gap(
        ("psij/throughput:*",),
        ("cobalt", "flux", "lsf", "pbs"),
        "measured beside the same by `sbatch` and `squeue` alone, or by a bare loop here",
    ),
    Gap(
        ("radical.entk/ensemble:staging=link", "radical.entk/fatal"),
        ("pbs", "slurm"),
        "known to fail whatever the scheduler is",
    ),
    Gap(("radical.pilot+flux/pilot",), ("flux",), "there the pilot is in a job of Flux: `inside`"),
    Gap(
        ("radical.pilot+flux/failing_task",),
        ("flux", "pbs"),
        "how a task's end comes from Flux to the pilot is the same wherever that Flux is",
    ),
    Gap(("radical.pilot+flux/inside",), ("local", "pbs", "slurm"), "there Flux is started by the pilot: `pilot`"),
)


def why_empty(case: str, scheduler: str) -> list[str]:
    """Return the reasons for which a case, given as ``family/name``, is not planned on a scheduler."""
    return [each.why for each in GAPS if each.covers(case, scheduler)]
