"""The scheduler refuses, stops answering, answers garbage, loses a job, or holds it for ever."""

from tests.sabotage.breakage import Breakage

CONTROL_FIRST = "sleep 1; while squeue -h -o %j | grep -q ^ex-c; do sleep 0.2; done"
"""Waits until the control case has run, which is to pass."""
SUBMITTING = "psij/hello parsl/htex:blocks=1"


def _slurm(id: str, broken: str, setup: str, evidence: str, advice: str, **more: object) -> Breakage:
    given = {
        "run": SUBMITTING,
        "outcome": "infra|fail",
        "cls": "scheduler|site",
        "scheduler": "slurm",
        "needs": ("slurm", "munge"),
        **more,
    }
    return Breakage(id, "scheduler", broken, setup, evidence=evidence, advice=advice, **given)  # type: ignore[arg-type]


def _refused(id: str, words: str, advice: str, **more: object) -> Breakage:
    setup = f"refusing sbatch 'sbatch: error: Batch job submission failed: {words}'"
    return _slurm(f"refuses-{id}", f"sbatch refuses: {words}", setup, words.split("(")[0].strip(), advice, **more)


BREAKAGES = [
    _refused("account", "Invalid account or account/partition combination specified", "account"),
    _refused("qos", "Invalid qos specification", "qos", run="psij/hello"),
    _refused("walltime", "Requested time limit is invalid (missing or exceeds some limit)", "time", run="psij/hello"),
    _refused("node-count", "Node count specification invalid", "node", run="psij/hello"),
    _refused(
        "job-limit",
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)".replace("'", ""),
        "limit|policy",
        run="psij/hello",
    ),
    _refused("authentication", "Protocol authentication error", "munge|authenti|clock", run="psij/hello"),
    _refused("partition", "Invalid partition name specified", "partition|queue", run="psij/hello"),
    _slurm(
        "refuses-by-plugin",
        "a plugin of the site refuses the job in its own words",
        "refusing sbatch 'sbatch: error: Please name a project of this quarter with --account'",
        r"Please name a project of this quarter",
        "plugin|site",
        run="psij/hello",
    ),
    _slurm(
        "munge-refuses",
        "munged does not answer to any command after the start",
        """standin sbatch <<'END'
echo 'sbatch: error: If munged is up, restart with --num-threads=10' >&2
echo 'sbatch: error: Munge encode failed: Failed to access "/run/munge/munge.socket.2": No such file or directory' >&2
echo 'sbatch: error: slurm_send_node_msg: auth_g_create: REQUEST_SUBMIT_BATCH_JOB has authentication error' >&2
echo 'sbatch: error: Batch job submission failed: Protocol authentication error' >&2
exit 1
END""",
        r"authentication error|Munge encode failed",
        "munge",
        run="psij/hello",
    ),
    _slurm(
        "squeue-fails",
        "squeue cannot reach the controller",
        "refusing squeue 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)'",
        r"Unable to contact slurm controller",
        "slurmctld|controller",
        run="psij/short",
    ),
    _slurm(
        "squeue-answers-garbage",
        "squeue prints a page of a web server",
        """standin squeue <<'END'
echo '<html><body>502 Bad Gateway</body></html>'
END""",
        r"502 Bad Gateway|squeue",
        "squeue|scheduler|output",
        run="psij/short",
        outcome="infra|fail|error",
        cls="scheduler|site|unknown",
    ),
    _slurm(
        "control-fails",
        "srun cannot start anything",
        "refusing srun 'srun: error: Unable to allocate resources: Unable to contact slurm controller'",
        r"Unable to allocate resources|Unable to contact",
        "slurmctld|controller|srun|scheduler",
        run="control/hello",
        outcome="infra",
    ),
    _slurm(
        "jobs-are-held",
        "every job of PSI/J is held for ever",
        """standin sbatch <<'END'
exec $REAL --hold "$@"
END""",
        r"[Hh]eld|JobHeld|queue",
        "held|release|queue|hold",
        run="psij/short",
        outcome="infra|fail",
    ),
    _slurm(
        "nodes-are-drained",
        "all nodes are drained for maintenance",
        """standin sbatch <<'END'
CONTROL_FIRST
scontrol update NodeName=ALL State=DRAIN Reason=maintenance
exec $REAL "$@"
END""".replace("CONTROL_FIRST", CONTROL_FIRST),
        r"[Dd]rain|DRAIN|ReqNodeNotAvail|Nodes_required|UnavailableNodes",
        "node|drain|partition",
        run="psij/short",
    ),
    _slurm(
        "partition-is-down",
        "the partition does not start jobs",
        """standin sbatch <<'END'
CONTROL_FIRST
p=$(sinfo -h -o %R | head -1)
scontrol update PartitionName="$p" State=DOWN
exec $REAL "$@"
END""".replace("CONTROL_FIRST", CONTROL_FIRST),
        r"PartitionDown|partition .*down|Partition is down",
        "partition|queue",
        run="psij/short",
    ),
    _slurm(
        "sbatch-answers-garbage",
        "sbatch submits nothing and prints a page of a web server",
        """standin sbatch <<'END'
echo '<html><body>503 Service Unavailable</body></html>'
END""",
        r"Unavailable</body>",
        "sbatch|submit",
        run="psij/short",
        outcome="infra|fail|error",
        cls="scheduler|site|unknown",
    ),
    _slurm(
        "sbatch-prints-a-banner",
        "sbatch prints a greeting of the site before its answer",
        """standin sbatch <<'END'
echo 'NOTE: your project has 17 node-hours left' >&2
exec $REAL "$@"
END""",
        "",
        "",
        run="psij/short",
        outcome="pass",
        cls="",
    ),
    _slurm(
        "job-is-lost",
        "the job disappears from the queue as soon as it is submitted",
        """standin sbatch <<'END'
out=$($REAL "$@"); code=$?
echo "$out"
scancel "${out##* }"
exit $code
END""",
        r"CANCEL|cancel",
        ".",
        run="psij/short",
        outcome="infra|fail|error",
        cls="scheduler|site|unknown",
    ),
    _slurm(
        "squeue-hangs",
        "squeue does not answer",
        """standin squeue <<'END'
sleep 1000
END""",
        r"squeue",
        "squeue|scheduler",
        run="psij/short",
    ),
    _slurm(
        "commands-are-absent",
        "there is no sbatch, although the site file names Slurm",
        "overlay /usr/bin; rm /usr/bin/sbatch",
        r"sbatch",
        "slurm|sbatch",
        site="schedulers: [{kind: slurm}]\nlocal: {allowed: true}\n".replace("local: {allowed: true}\n", ""),
        run="psij/hello",
        outcome="refused|infra",
        cls="|site|scheduler",
    ),
]
