"""Timeouts and scheduler options of a system's jobs, from the limits in its site file."""

from __future__ import annotations

from dataclasses import dataclass

from site_configs.schema import Queue, SchedulerSpec, System, seconds
from site_configs.values import Dialect

MINUTE = 60
HOUR = 3600
RUN_TIMES = {"control": 15 * MINUTE, "smoke": HOUR, "integration": 3 * HOUR, "scale": 6 * HOUR}
"""The longest run time of a stage's cases in seconds, after the wait in the queue, if the queue allows it."""
NODES = {"control": 1, "smoke": 1, "integration": 2, "scale": 4}
"""Nodes of a stage's batch job, if the queue has them; on a shell runner the cases request nodes themselves."""
BUILD = 12 * HOUR
"""The limit of a stage that builds software with Spack."""
OWN = 15 * MINUTE
"""The limit of a stage that only reads and writes files."""
GRACE = 10 * MINUTE
"""The time between the end of a script and the timeout of its job, to cancel batch jobs and to save the results."""


@dataclass(frozen=True)
class Times:
    """GitLab's timeout of a job and the runner's shorter timeout of its script, in seconds.

    The script ends first, so that artifacts are still saved.
    """

    job: int
    script: int

    @property
    def timeout(self) -> str:
        return gitlab_duration(self.job)

    @property
    def variables(self) -> dict[str, str]:
        after = f"{GRACE // 2 // MINUTE}m"
        return {"RUNNER_SCRIPT_TIMEOUT": f"{self.script // MINUTE}m", "RUNNER_AFTER_SCRIPT_TIMEOUT": after}


def times(system: System, script: int) -> Times:
    """Return the timeouts for a script of ``script`` seconds, in whole minutes, within the site's limit of a job."""
    script = -(-script // MINUTE) * MINUTE
    if system.ci.timeout is not None:
        script = max(MINUTE, min(script, seconds(system.ci.timeout) // MINUTE * MINUTE - GRACE))
    return Times(job=script + GRACE, script=script)


def stage_times(system: System, tier: str) -> Times:
    """Return the timeouts of a test stage: the wait in the queue plus the run time, as far as the queue allows it."""
    allowed = RUN_TIMES[tier]
    queue = queue_for(main_scheduler(system), NODES[tier])
    longest = None if queue is None else queue.walltime_limit(NODES[tier])
    if longest is not None:
        allowed = min(allowed, max(longest, RUN_TIMES["control"]))
    return times(system, seconds(system.limits.queue_wait) + allowed)


def gitlab_duration(duration: int) -> str:
    """Return seconds in whole minutes in the form that GitLab reads: ``1h 25m``."""
    hours, minutes = divmod(duration // MINUTE, 60)
    return " ".join(part for part in (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "") if part)


def main_scheduler(system: System) -> SchedulerSpec | None:
    """Return the scheduler that a batch runner submits to: the first one that is not nested."""
    return next((spec for spec in system.schedulers if not spec.nested), None)


def queue_for(spec: SchedulerSpec | None, nodes: int) -> Queue | None:
    """Return the queue for a job on ``nodes`` nodes: the multi-node queue if there is one, else the default queue."""
    if spec is None or not spec.queues:
        return None
    name = (spec.multi_node_queue if nodes > 1 else None) or spec.default_queue
    return next((queue for queue in spec.queues if queue.name == name), spec.queues[0])


def jobs_of_lane(system: System) -> int | None:
    """Return how many batch jobs each of the system's lanes may have at once; None if lanes have to take turns.

    They take turns on a machine without a scheduler, whose cores they would share, and where the site admits fewer
    jobs of one user than there are lanes.
    """
    spec, count = main_scheduler(system), len(system.ci.lanes)
    if spec is None or not count:
        return None
    limits = [spec.max_jobs, spec.max_queued]
    for nodes in NODES.values():
        queue = queue_for(spec, nodes)
        limits += [queue.max_running, queue.max_queued] if queue is not None else []
    most = min(limit for limit in limits if limit is not None)
    return most // count or None


def scheduler_parameters(system: System, tier: str, run_time: int | None = None) -> str | None:
    """Return the scheduler options of the batch job in which a stage runs.

    The account is a reference to a variable, which GitLab expands when the job starts. ``run_time``: the seconds that
    the job may take, if the queue allows it; the default is that of the tier. Return None if the system has no
    scheduler, or if the options of its kind are not known.
    """
    spec = main_scheduler(system)
    if spec is None or spec.kind not in _DIALECTS:
        return None
    queue = queue_for(spec, NODES[tier])
    nodes, walltime = NODES[tier], run_time or RUN_TIMES[tier]
    if queue is not None:
        nodes = max(queue.min_nodes, min(nodes, queue.max_nodes or nodes))
        walltime = min(walltime, queue.walltime_limit(nodes) or walltime)
        walltime = max(walltime, seconds(queue.min_walltime)) if queue.min_walltime else walltime
    account = f"${spec.account_env}" if spec.account_env else None
    options = _DIALECTS[spec.kind](JobRequest(spec, queue, account, nodes, walltime))
    return " ".join([*options, *(directive.strip() for directive in spec.directives)])


@dataclass(frozen=True)
class JobRequest:
    """The resources of a batch job. The account, and a reservation with a ``$``, are references to variables."""

    spec: SchedulerSpec
    queue: Queue | None
    account: str | None
    nodes: int
    walltime: int

    @property
    def minutes(self) -> str:
        return str(-(-self.walltime // MINUTE))

    @property
    def clock(self) -> str:
        return f"{self.walltime // HOUR:02}:{self.walltime % HOUR // MINUTE:02}:{self.walltime % MINUTE:02}"

    def options(self, **flags: str | None) -> list[str]:
        """Return the options for queue, account and reservation, as far as they are known and have a flag."""
        values = {
            "queue": self.queue.name if self.queue else None,
            "account": self.account,
            "reservation": self.spec.reservation,
        }
        return [
            f"{flag}{value}" if flag.endswith("=") else f"{flag} {value}"
            for name, flag in flags.items()
            if flag is not None and (value := values[name]) is not None
        ]


def _slurm(request: JobRequest) -> list[str]:
    partition, qos = request.queue.partition_and_qos if request.queue else (None, None)
    options = [f"-N {request.nodes}", f"-t {request.clock}"]
    options += [f"-p {partition}"] if partition else []
    options += [f"-q {qos}"] if qos else []
    return options + request.options(account="-A", reservation="--reservation=")


def _pbs(request: JobRequest) -> list[str]:
    return [f"-l select={request.nodes}", f"-l walltime={request.clock}", *request.options(queue="-q", account="-A")]


def _lsf(request: JobRequest) -> list[str]:
    size = f"-nnodes {request.nodes}"
    if request.spec.dialect in (Dialect.SLOTS, Dialect.CLASSIC):
        size = f"-n {request.nodes} -R span[ptile=1]" + " -x" * request.spec.exclusive
    return [size, f"-W {request.minutes}", *request.options(queue="-q", account="-P", reservation="-U")]


def _cobalt(request: JobRequest) -> list[str]:
    return [f"-n {request.nodes}", f"-t {request.minutes}", *request.options(queue="-q", account="-A")]


def _flux(request: JobRequest) -> list[str]:
    options = [f"--nodes={request.nodes}", "--exclusive", f"--time-limit={request.minutes}m"]
    return options + request.options(queue="--queue=", account="--bank=")


_DIALECTS = {"slurm": _slurm, "pbs": _pbs, "lsf": _lsf, "cobalt": _cobalt, "flux": _flux}
