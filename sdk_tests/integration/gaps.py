"""Why a case is planned on some schedulers and not on others; ``docs/matrix.md`` lists the reasons below each table.

The reasons why a component or a pair has no case at all on a scheduler are in ``pairs.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

OTHERS = ("cobalt", "lsf", "pbs")
"""The batch schedulers other than Slurm and Flux."""


@dataclass(frozen=True)
class Gap:
    """Cases, as patterns of ``family/name``, that are not planned on some schedulers, with the reason."""

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
        "brokers on several nodes need a launcher that provides PMI, such as Slurm's `srun` or `flux run`; neither "
        "OpenPBS nor the emulated launchers provide it",
    ),
    Gap(
        ("swift-t/nodes/2n",),
        OTHERS,
        "MPICH's mpiexec uses ssh to start processes on other nodes, and the nodes of a testbed run no ssh server",
    ),
    Gap(("swift-t/mpiexec",), ("local", *OTHERS), "there mpiexec starts every case of Swift/T"),
    Gap(("swift-t/submit*",), ("local",), "there is no scheduler to submit to"),
    Gap(
        ("swift-t/submit*",),
        ("flux",),
        "Swift/T has no submitter for Flux, see [what does not exist](#what-does-not-exist)",
    ),
    Gap(
        ("swift-t/submit*",),
        ("lsf",),
        "its script for LSF starts the ranks with `jsrun`; the emulated `jsrun` starts processes without MPI "
        "([turbine-lsf.sh.m4](https://github.com/swift-lang/swift-t/blob/master/turbine/code/scripts/submit/lsf/turbine-lsf.sh.m4))",
    ),
    Gap(
        ("swift-t/submit*",),
        ("cobalt",),
        "turbine 1.5.2's script for Cobalt has one closing bracket too many, and `m4 -P` does not expand its first "
        "line, so that no shell can run it "
        "([turbine-cobalt.sh.m4](https://github.com/swift-lang/swift-t/blob/master/turbine/code/scripts/submit/cobalt/turbine-cobalt.sh.m4))",
    ),
    Gap(
        ("swift-t+psij/arguments",),
        ("pbs", "slurm"),
        "a known failure: Swift/T loses the arguments before it contacts a scheduler",
    ),
    Gap(("parsl/htex:*",), ("cobalt",), "Parsl 2026.10.26 has no provider for Cobalt"),
    Gap(("parsl/htex:*",), ("flux",), "Parsl has an executor for Flux instead of a provider; see the pair parsl+flux"),
    Gap(
        ("parsl/mpi:launcher=mpiexec",),
        ("local", "cobalt", "flux", "lsf"),
        "Parsl's MPIExecutor reads the names of its nodes only from `SLURM_NODELIST` or `PBS_NODEFILE` "
        "(parsl/executors/high_throughput/mpi_resource_management.py)",
    ),
    Gap(("colmena+parsl/block",), ("cobalt",), "Parsl 2026.10.26 has no provider for Cobalt"),
    Gap(("colmena+parsl/block",), ("flux",), "Parsl has no provider for Flux; `steering` runs inside a Flux job"),
    Gap(
        ("dask/jobqueue",),
        ("lsf",),
        "dask-jobqueue 0.9.0 has a class for LSF that was not tried; PSI/J submits the workers in the pair dask+psij",
    ),
    Gap(
        ("dask/jobqueue",),
        ("cobalt", "flux"),
        "dask-jobqueue 0.9.0 has no class for this scheduler; on Flux, PSI/J submits the workers in the pair dask+psij",
    ),
    Gap(("*launcher=srun*",), ("local", "cobalt", "flux", "lsf", "pbs"), "`srun` belongs to Slurm"),
    Gap(
        ("psij/cancel_running",),
        ("lsf",),
        "psij 0.9.11 cannot parse the exit reason that bjobs reports, and then waits for ever",
    ),
    Gap(("psij/cancel_queued",), ("local",), "there is no queue"),
    Gap(
        ("psij/cancel_queued",),
        ("flux", *OTHERS),
        "the case delays its job with Slurm's option `--begin`, which PSI/J passes on unchanged; on other schedulers "
        "`cancel_running` tests cancellation",
    ),
    Gap(
        ("psij/walltime",),
        ("local",),
        "psij 0.9.11's local executor does not enforce a duration (src/psij/executors/local.py)",
    ),
    Gap(
        ("psij/walltime",),
        ("lsf",),
        "psij 0.9.11 cannot parse the exit reason that bjobs reports, and then waits for ever",
    ),
    Gap(
        ("psij/multi_node/2n",),
        ("flux",),
        "psij 0.9.11's executor for Flux supports neither a number of nodes nor a launcher",
    ),
    Gap(
        ("psij/multi_node/2n",),
        ("cobalt",),
        "psij 0.9.11 cannot submit a job to Cobalt; see `hello`",
    ),
    Gap(
        ("psij/multi_node/2n",),
        ("pbs",),
        "psij 0.9.11 has no launcher for mpiexec, and its mpirun uses ssh to start processes on other nodes; the nodes "
        "of a testbed run no ssh server",
    ),
    Gap(
        ("psij/gpus",),
        ("local", "cobalt", "flux", "lsf", "pbs"),
        "psij 0.9.11 requests GPUs for each process, and only its launcher for Slurm gives each process its own GPU",
    ),
    Gap(
        ("psij/attach_failing",),
        ("local",),
        "PSI/J documents that an attached job always ends with exit code 0 on `local`",
    ),
    Gap(
        ("psij/*executor=pbs_classic",), ("local", "cobalt", "flux", "lsf", "slurm"), "this executor supports only PBS"
    ),
    Gap(
        ("psij/serialize_duration",),
        ("cobalt", "flux", "lsf", "pbs", "slurm"),
        "a known failure that does not depend on the scheduler",
    ),
    Gap(
        ("psij/throughput:*",),
        ("cobalt", "flux", "lsf", "pbs"),
        "the figures are compared with `sbatch` and `squeue` on Slurm and with a plain loop on `local`; there is no "
        "such comparison for this scheduler",
    ),
    Gap(
        ("radical.entk/ensemble:staging=link", "radical.entk/fatal"),
        ("pbs", "slurm"),
        "a known failure that does not depend on the scheduler",
    ),
    Gap(("radical.entk+flux/ensemble",), ("flux",), "there the pilot runs inside a Flux job; see `deepdrivemd`"),
    Gap(("radical.entk+flux/deepdrivemd",), ("local", "slurm"), "there the pilot starts Flux; see `ensemble`"),
    Gap(("radical.pilot+flux/pilot",), ("flux",), "there the pilot runs inside a Flux job; see `inside`"),
    Gap(
        ("radical.pilot+flux/failing_task",),
        ("flux", "pbs"),
        "Flux reports the end of a task to the pilot in the same way wherever that Flux runs",
    ),
    Gap(
        ("radical.pilot+flux/throughput:*", "radical.entk+flux/throughput:*"),
        ("flux", "pbs"),
        "the rate of the pair is measured once, in a job of Slurm, and on this machine",
    ),
    Gap(("radical.pilot+flux/inside",), ("local", "pbs", "slurm"), "there the pilot starts Flux; see `pilot`"),
)


def why_empty(case: str, scheduler: str) -> list[str]:
    """Return the reasons for which a case, given as ``family/name``, is not planned on a scheduler."""
    return [each.why for each in GAPS if each.covers(case, scheduler)]
