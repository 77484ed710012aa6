"""Times and scheduler parameters of a system's jobs, from the limits in its site file."""

from __future__ import annotations

from dataclasses import dataclass

from site_configs.schema import Queue, SchedulerSpec, System, seconds

MINUTE = 60
HOUR = 3600
RUN_TIMES = {"control": 15 * MINUTE, "smoke": HOUR, "integration": 3 * HOUR, "scale": 6 * HOUR}
"""What a stage's cases may take once they run, if the queue allows as much."""
NODES = {"control": 1, "smoke": 1, "integration": 2, "scale": 4}
"""Nodes of a stage's batch job, if the queue has them; on a shell runner the cases ask for nodes themselves."""
BUILD = 12 * HOUR
OWN = 15 * MINUTE
"""A stage that only reads and writes files."""
GRACE = 10 * MINUTE
"""Between the end of a script and GitLab's own limit: time to cancel jobs and to save the results."""


@dataclass(frozen=True)
class Times:
    """GitLab's limit on a job, and the runner's on its script, which ends first so that artifacts survive it."""

    job: int
    script: int

    @property
    def timeout(self) -> str:
        return spoken(self.job)

    @property
    def variables(self) -> dict[str, str]:
        after = f"{GRACE // 2 // MINUTE}m"
        return {"RUNNER_SCRIPT_TIMEOUT": f"{self.script // MINUTE}m", "RUNNER_AFTER_SCRIPT_TIMEOUT": after}


def times(system: System, script: int) -> Times:
    """Round up to whole minutes and add the grace; the site's own limit on a job bounds both."""
    script = -(-script // MINUTE) * MINUTE
    if system.ci.timeout is not None:
        script = max(MINUTE, min(script, seconds(system.ci.timeout) // MINUTE * MINUTE - GRACE))
    return Times(job=script + GRACE, script=script)


def stage_times(system: System, tier: str) -> Times:
    """Return the times of a test stage: the wait in the queue, then the run, as long as the queue permits."""
    allowed = RUN_TIMES[tier]
    queue = queue_for(main_scheduler(system), NODES[tier])
    longest = None if queue is None else queue.walltime_limit(NODES[tier])
    if longest is not None:
        allowed = min(allowed, max(longest, RUN_TIMES["control"]))
    return times(system, seconds(system.limits.queue_wait) + allowed)


def spoken(duration: int) -> str:
    """Say whole minutes as GitLab reads them: ``1h 25m``."""
    hours, minutes = divmod(duration // MINUTE, 60)
    return " ".join(part for part in (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "") if part)


def main_scheduler(system: System) -> SchedulerSpec | None:
    """Return the scheduler that a batch runner submits to: the first that is no guest of another."""
    return next((spec for spec in system.schedulers if not spec.nested), None)


def queue_for(spec: SchedulerSpec | None, nodes: int) -> Queue | None:
    """Return the queue for that many nodes: the default one, or the one for several nodes where that is another."""
    if spec is None or not spec.queues:
        return None
    name = (spec.multi_node_queue if nodes > 1 else None) or spec.default_queue
    return next((queue for queue in spec.queues if queue.name == name), spec.queues[0])


def scheduler_parameters(system: System, tier: str) -> str | None:
    """Return the options for the batch job that a Jacamar batch runner makes of a stage, in the scheduler's words.

    The account is a variable's reference: GitLab puts its value in when the job starts. None where the scheduler has no
    batch job, or where nothing is known of its options.
    """
    spec = main_scheduler(system)
    if spec is None or spec.kind not in _DIALECTS:
        return None
    queue = queue_for(spec, NODES[tier])
    nodes, walltime = NODES[tier], RUN_TIMES[tier]
    if queue is not None:
        nodes = max(queue.min_nodes, min(nodes, queue.max_nodes or nodes))
        walltime = min(walltime, queue.walltime_limit(nodes) or walltime)
        walltime = max(walltime, seconds(queue.min_walltime)) if queue.min_walltime else walltime
    account = f"${spec.account_env}" if spec.account_env else None
    words = _DIALECTS[spec.kind](Wish(spec, queue, account, nodes, walltime))
    return " ".join([*words, *(directive.strip() for directive in spec.directives)])


@dataclass(frozen=True)
class Wish:
    """What a batch job asks for; the account and, where it has a ``$``, the reservation are references."""

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
        """Return those of queue, account and reservation that are known, each behind its flag."""
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


def _slurm(wish: Wish) -> list[str]:
    partition, qos = wish.queue.asks if wish.queue else (None, None)
    words = [f"-N {wish.nodes}", f"-t {wish.clock}"]
    words += [f"-p {partition}"] if partition else []
    words += [f"-q {qos}"] if qos else []
    return words + wish.options(account="-A", reservation="--reservation=")


def _pbs(wish: Wish) -> list[str]:
    return [f"-l select={wish.nodes}", f"-l walltime={wish.clock}", *wish.options(queue="-q", account="-A")]


def _lsf(wish: Wish) -> list[str]:
    return [f"-nnodes {wish.nodes}", f"-W {wish.minutes}", *wish.options(queue="-q", account="-P", reservation="-U")]


def _cobalt(wish: Wish) -> list[str]:
    return [f"-n {wish.nodes}", f"-t {wish.minutes}", *wish.options(queue="-q", account="-A")]


def _flux(wish: Wish) -> list[str]:
    words = [f"--nodes={wish.nodes}", "--exclusive", f"--time-limit={wish.minutes}m"]
    return words + wish.options(queue="--queue=", account="--bank=")


_DIALECTS = {"slurm": _slurm, "pbs": _pbs, "lsf": _lsf, "cobalt": _cobalt, "flux": _flux}
