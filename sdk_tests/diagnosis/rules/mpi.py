"""Messages of MPI launchers and libraries: absent, refusing, or of another MPI."""

from __future__ import annotations

from dashboard_client.schema import CauseClass, Outcome, Phase
from sdk_tests.diagnosis.rule import PLAIN, SPECIFIC, Rule

_ENDING = r"\S+: tasks? [\d,-]+: |Timed out waiting for job step|.*Job step aborted|.*STEP \S+ ON \S+ CANCELLED"
"""How srun reports that the ranks themselves ended, which is no fault of the launcher."""
_LAUNCHERS = r"mpiexec(?:\.\w+)?|mpirun|srun|aprun|jsrun|prterun|prte|ibrun|palsd?|lrun"

RULES: tuple[Rule, ...] = (
    Rule(
        "no-mpi-launcher",
        r"no launch method for task|no valid launch methods found|no launch(?:er| method) found for|"
        r"(?:mpiexec|mpirun) not found - cannot start MPI tasks|no MPI launcher|"
        rf"(?:No such file or directory: |command not found: |FileNotFoundError.*)['\"]?(?:\S*/)?(?:{_LAUNCHERS})\b|"
        rf"(?:^|[\s:'\"/])(?:{_LAUNCHERS})['\"]?: (?:command )?not found|exec(?:vp?e?)?\b.*(?:{_LAUNCHERS}).*No such file|"
        rf"(?:env|nohup|timeout|sh): ['\u2018]?(?:{_LAUNCHERS})['\u2019]?: No such file",
        "no MPI launcher",
        CauseClass.SITE,
        Phase.LAUNCH,
        "install an MPI launcher (mpich, openmpi) or name one under `launchers:` in the site file",
        "radical.pilot, agent/resource_manager/base.py; the shell",
        "no launch method for task task.000000:",
        SPECIFIC,
        outcome=Outcome.FAIL,
    ),
    Rule(
        "mpi-root",
        r"(?:mpirun|mpiexec|prterun|prte|orterun) has detected an attempt to run as root",
        "the MPI launcher refuses to run as root",
        CauseClass.SITE,
        Phase.LAUNCH,
        "run as an ordinary user, or set OMPI_ALLOW_RUN_AS_ROOT=1 and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
        "Open MPI, mpirun(1)",
        "mpirun has detected an attempt to run as root.",
        SPECIFIC,
    ),
    Rule(
        "mpi-slots",
        r"There are not enough slots available|All nodes which are allocated for this job are already filled|"
        r"more processes than the number of (?:slots|cpus|ranks)|oversubscrib\w+ .*(?:not allowed|directive)|"
        r"requested more processes than allowed",
        "the MPI launcher has too few slots for the ranks",
        CauseClass.SITE,
        Phase.LAUNCH,
        "run where the allocation has as many cores as ranks, or add `--oversubscribe` to `flags:` of the launcher in "
        "the site file",
        "Open MPI, mpirun(1)",
        "There are not enough slots available in the system to satisfy the 4",
        SPECIFIC,
    ),
    Rule(
        "mpi-pmi",
        r"PMI2?_(?:Init|KVS\w*|Job_\w+)\b.*(?:returned|fail|error)|PMI(?:2|X)? version mismatch|PMIX ERROR|"
        r"PMIx_Init failed|unable to (?:find|load|open) .*(?:PMI|pmi)|not built with SLURM's PMI|"
        r"OMPI was not built with SLURM|PMI server not found|MPIR_pmi_init|MPIDI?_Init.*pmi|"
        r"MPIR_Init.*pmi|(?:Unrecognized|unexpected) PMI|PMI_ABORT|pmix_\w+.*(?:fail|error)",
        "launcher and MPI library do not speak the same PMI",
        CauseClass.SITE,
        Phase.LAUNCH,
        "use the launcher of the MPI library that the program was built with, or choose its PMI "
        "(`srun --mpi=list`) in `flags:` of the launcher in the site file",
        "MPICH and Open MPI, start-up over PMI",
        "OMPI was not built with SLURM's PMI support and therefore cannot execute.",
        SPECIFIC,
    ),
    Rule(
        "mpi-mismatch",
        r"(?P<launcher>\S+) started \d+ processes that do not know each other",
        "{launcher} belongs to another MPI than the programs that it starts",
        CauseClass.SITE,
        Phase.LAUNCH,
        "put the launcher of the MPI library of the deployment first on PATH (load its module), or correct "
        "`launchers:` in the site file",
        "the payload psij/launcher.py",
        "mpirun started 2 processes that do not know each other: no ranks",
        SPECIFIC,
    ),
    Rule(
        "mpi-plugin",
        r"Invalid MPI type '?(?P<type>[\w-]+)'?|[Cc]ouldn't find the specified plugin name for mpi/(?P<plugin>\w+)|"
        r"cannot create mpi context for mpi/(?P<context>\w+)|MPI plugin .*not (?:found|available)",
        "Slurm has no support for the MPI type {type}",
        CauseClass.SITE,
        Phase.LAUNCH,
        "`srun --mpi=list` prints the types; correct `flags:` of the launcher in the site file",
        "Slurm, srun(1)",
        "srun: error: Couldn't find the specified plugin name for mpi/pmix looking at all files",
        SPECIFIC,
    ),
    Rule(
        "mpi-fabric",
        r"OFI .*(?:fail|error|not found)|\bofi_\w+.*fail|fi_getinfo|UCX +ERROR|no usable (?:fabric|provider|transport)|"
        r"MPIDI_OFI_\w+|libfabric.*(?:error|fail)|No network interfaces were found|"
        r"Open MPI failed to open .*(?:device|fabric)|openib.*error|cxi_\w+.*fail|psm\d?_.*fail",
        "MPI cannot use the network of the node",
        CauseClass.SITE,
        Phase.LAUNCH,
        "choose the provider of the site (FI_PROVIDER, UCX_TLS, `--mca btl`), or load its MPI module",
        "MPICH, Open MPI, libfabric, UCX",
        "MPIDI_OFI_mpi_init_hook: OFI addrinfo() failed",
        SPECIFIC,
    ),
    Rule(
        "mpi-launcher-failed",
        r"(?:ORTE|PRTE) (?:daemon|has).*(?:unexpectedly failed|lost communication|was unable to)|"
        r"An ORTE daemon has unexpectedly failed|unable to reliably start one or more daemons|"
        r"\[mpiexec@[^\]]+\] .*(?:error|unable|assert|fail|cannot)|HYD\w+ \(.*\):? .*|"
        r"\[proxy:\S+\] .*(?:error|unable|fail)|mpi(?:run|exec) was unable to (?:launch|start|find)|"
        rf"(?:{_LAUNCHERS}): (?:fatal|error): (?!{_ENDING})(?P<why>.+)|execvp error on file (?P<program>\S+)|"
        r"aprun: .*(?:error|fatal)|jsrun: .*(?:error|fatal)|prterun .*(?:failed|unable)",
        "the MPI launcher could not start the ranks",
        CauseClass.SITE,
        Phase.LAUNCH,
        "start `hostname` with the same launcher by hand; correct `launchers:` in the site file",
        "MPICH (hydra), Open MPI (orted, prted)",
        "An ORTE daemon has unexpectedly failed after launch and before",
        PLAIN,
    ),
    Rule(
        "mpi-abort",
        r"Fatal error in (?P<call>internal_\w+|P?MPI_\w+)|MPI_ABORT was invoked|application called MPI_Abort|"
        r"\*\*\* An error occurred in (?P<function>MPI_\w+)|BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES|"
        r"Primary job +terminated normally, but \d+ process returned",
        "an MPI program aborted",
        CauseClass.COMPONENT,
        Phase.RUN,
        "read the lines before it in the log; a start by hand with two ranks shows whether MPI itself works",
        "MPICH, Open MPI",
        "Fatal error in internal_Init: Other MPI error, error stack:",
        PLAIN,
    ),
)
