"""The typed model of a site file, one file a system; published as JSON Schema by ``exaworks sites schema``.

Durations are ``HH:MM:SS`` strings in the file (``walltime: 00:30:00``) and seconds in Python, see ``seconds()``. Limits
on one value are part of its type, so that the published schema states them too; what two values say about each other is
in ``checks``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from site_configs.values import (
    Address,
    Count,
    Date,
    Duration,
    LauncherKind,
    Match,
    Name,
    OnInfra,
    Percent,
    Positive,
    ProxyUse,
    Reservation,
    SystemName,
    Text,
    Tier,
    Trigger,
    Variable,
    Whole,
)
from site_configs.values import State as State
from site_configs.values import seconds as seconds


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closed and immutable."""


class Detect(_Struct, frozen=True, kw_only=True):
    """How the machine is recognised: any host name pattern (shell style), and every named environment pattern.

    Where both are given both must hold, or with ``match: any`` either; with neither the file is never chosen by itself.
    """

    hosts: list[Text] = []
    environment: dict[Variable, Text] = {}
    match: Match = Match.ALL


class Step(_Struct, frozen=True, kw_only=True):
    """A walltime limit that depends on a job's size: what a job of up to ``nodes`` nodes may ask for."""

    nodes: Count
    max_walltime: Duration


class Queue(_Struct, frozen=True, kw_only=True):
    """One queue (PBS, LSF, Cobalt, Flux) or partition (Slurm), with the limits the site puts on a job in it.

    On Slurm a queue may be a partition, a QOS or both: ``name`` is the partition unless ``partition`` names another or
    ``by_qos`` says that none is asked for; ``qos`` is asked for beside it. ``steps`` are walltime limits by job size,
    in rising order; a job larger than the last one has ``max_walltime``.
    """

    name: Name
    partition: Name | None = None
    by_qos: bool = False
    min_nodes: Count = 1
    max_nodes: Count | None = None
    min_walltime: Duration | None = None
    max_walltime: Duration | None = None
    max_running: Count | None = None
    max_queued: Count | None = None
    qos: Name | None = None
    steps: list[Step] = []

    @property
    def asks(self) -> tuple[str | None, str | None]:
        """The partition and the QOS that a job in this queue names; either may be None."""
        return (None if self.by_qos else self.partition or self.name), self.qos

    def walltime_limit(self, nodes: int = 1) -> int | None:
        """Return the longest walltime of a job of so many nodes, in seconds; None where none is known."""
        limits = [step.max_walltime for step in self.steps if nodes <= step.nodes][:1]
        limits += [self.max_walltime] if self.max_walltime else []
        return min((seconds(limit) for limit in limits), default=None)

    def admits(self, nodes: int, walltime: float) -> bool:
        """Tell whether a job of so many nodes and seconds is within the limits."""
        longest = self.walltime_limit(nodes)
        return (
            self.min_nodes <= nodes
            and (self.max_nodes is None or nodes <= self.max_nodes)
            and (longest is None or walltime <= longest)
            and (self.min_walltime is None or walltime >= seconds(self.min_walltime))
        )


class Launcher(_Struct, frozen=True, kw_only=True):
    """A parallel launcher of the site: its command, whose options it takes, and the flags every launch needs.

    ``kind`` follows from the command's name where that leaves no doubt. A command that several makers have, such as
    ``mpiexec``, takes the options of the MPI standard unless the file says whose it is.
    """

    name: Name
    kind: LauncherKind | None = None
    flags: list[Text] = []

    @property
    def takes(self) -> LauncherKind:
        """Whose options it takes."""
        if self.kind is not None:
            return self.kind
        try:
            return LauncherKind(self.name.rpartition("/")[2])
        except ValueError:
            return LauncherKind.MPIEXEC


class SchedulerSpec(_Struct, frozen=True, kw_only=True):
    """One scheduler of the system and how to use it.

    ``kind`` names an entry point of ``exaworks.schedulers``; ``name`` tells several of a kind apart and is the kind
    unless given; ``account_env`` names the environment variable that holds the account (never the account itself);
    ``directives`` are extra lines for a batch script, without their prefix; ``status_interval`` is the number of
    seconds between bulk status queries; ``reservation`` may be ``$VARIABLE``, since reservations come and go.

    A ``nested`` one has no queue of its own: it is started inside an allocation of the scheduler named ``within`` (the
    first that is not nested) by the command ``start``, in which ``{nodes}``, ``{cores}`` (usable ones of a node) and
    ``{gpus}`` (of a node) are filled in, after the modules in ``modules`` are loaded.
    """

    kind: Name
    name: Name | None = None
    version_family: Text | None = None
    emulated: bool = False
    queues: list[Queue] = []
    default_queue: Name | None = None
    multi_node_queue: Name | None = None
    account_env: Variable | None = None
    directives: list[Text] = []
    launchers: list[Launcher] = []
    status_interval: Positive = 10.0
    max_jobs: Count = 1
    max_queued: Count | None = None
    exclusive: bool = False
    default_nodes: Count = 1
    reservation: Reservation | None = None
    nested: bool = False
    within: Name | None = None
    start: list[Text] = []
    modules: list[Name] = []

    @property
    def label(self) -> str:
        """What this scheduler is called: its name, else its kind."""
        return self.name or self.kind

    def queue(self, name: str | None) -> Queue | None:
        """Return the listed queue of that name; of None, the default one."""
        wanted = name or self.default_queue
        return next((queue for queue in self.queues if queue.name == wanted), None)


class Limits(_Struct, frozen=True, kw_only=True):
    """Bounds on a whole run: ``queue_wait`` before a case is given up, node-hours spent, infra retries per case."""

    queue_wait: Duration = "01:00:00"
    node_hours: Positive | None = None
    infra_retries: Whole = 0


class LocalUse(_Struct, frozen=True, kw_only=True):
    """Whether ``local`` cases may run on this machine, and on how many cores: login nodes are shared.

    ``cores: 0`` means all cores of the machine it runs on; ``bound()`` turns the figure into a number to plan with.
    """

    allowed: bool = False
    cores: Whole = 2

    def bound(self, available: int) -> int:
        """Return how many of a machine's ``available`` cores local cases may keep busy; at least one."""
        return max(1, min(self.cores or available, available))


class Node(_Struct, frozen=True, kw_only=True):
    """The shape of a compute node, and how many the machine has; ``usable_cores`` is what core specialisation leaves.

    ``cores`` are physical; a scheduler that counts hardware threads sees ``threads_per_core`` times as many.
    """

    count: Count | None = None
    cores: Count | None = None
    usable_cores: Count | None = None
    threads_per_core: Count = 1
    gpus: Whole = 0
    gpu: Text | None = None
    architecture: Name | None = None
    memory_gb: Count | None = None


class Modules(_Struct, frozen=True, kw_only=True):
    """The module system, the folders of modules to add first (``use``), and what to load before anything else."""

    system: Name | None = None
    use: list[Text] = []
    load: list[Name] = []


class Network(_Struct, frozen=True, kw_only=True):
    """How compute nodes reach each other and the outside."""

    interface: Name | None = None
    proxy: Address | None = None
    proxy_use: ProxyUse = ProxyUse.EVERYWHERE
    no_proxy: list[Text] = []
    ca_bundle: Text | None = None


class Runner(_Struct, frozen=True, kw_only=True):
    """The GitLab runner of the site.

    ``executor`` is how the runner carries a job: ``shell`` on a login node, or ``batch`` as a batch job. ``tags`` are
    those of every job; ``shell_tags`` and ``batch_tags`` join them where a job is meant for one or the other.
    """

    tags: list[Name] = []
    executor: Name | None = None
    shell_tags: list[Name] = []
    batch_tags: list[Name] = []


class IdToken(_Struct, frozen=True, kw_only=True):
    """An OIDC token that GitLab makes for a job: the variable it comes in, and the audience it is made for."""

    variable: Variable
    audience: Text


class CiInclude(_Struct, frozen=True, kw_only=True):
    """A file of the site's own GitLab that its pipelines have to include, such as the one that declares ID tokens."""

    project: Name
    file: Name
    ref: Name | None = None


class Ci(_Struct, frozen=True, kw_only=True):
    """How this system is tested without anybody there.

    ``scheduler_parameters`` is the variable in which the site's Jacamar expects the options of a batch job;
    ``site_token`` is the ID token that Jacamar itself asks for, ``collector_token`` the one that proves the job to the
    collector. ``infra`` says what a pipeline makes of a run in which only the site's infrastructure failed;
    ``timeout`` bounds one job. ``package_jobs`` makes each package of a Spack build a job of its own.
    """

    trigger: Trigger = Trigger.NONE
    infra: OnInfra = OnInfra.FAIL
    server: Address | None = None
    scheduler_parameters: Variable | None = None
    site_token: IdToken | None = None
    collector_token: IdToken | None = None
    includes: list[CiInclude] = []
    timeout: Duration | None = None
    package_jobs: bool = False


class Collector(_Struct, frozen=True, kw_only=True):
    """Where results go: the address, and the environment variable that holds the token. ``embedded`` starts one."""

    url: Address | None = None
    token_env: Variable | None = None
    embedded: bool = False


class WaiverSpec(_Struct, frozen=True, kw_only=True):
    """A component or case known to be broken here: shell pattern of case ids, reason, ISO date of expiry."""

    cases: Name
    reason: Text
    expires: Date
    owner: Text | None = None


class Reference(_Struct, frozen=True, kw_only=True):
    """What a figure of a case is expected to be here, and by how many percent it may be worse before the case fails.

    Of several that fit a case and metric the first counts; a metric without one is recorded and judged by nobody.
    """

    cases: Name
    metric: Name
    value: Positive
    unit: Text
    tolerance: Percent


class System(_Struct, frozen=True, kw_only=True):
    """One machine as its site file describes it.

    ``testbeds`` are the kinds of scheduler brought up, for the run alone, where this machine has the software for one.
    ``deployment`` is what is tested; ``release`` and ``spack`` alone are the newest release, installed with pip when it
    is first needed, or with Spack by ``exaworks install``, which a pipeline runs first.
    ``promises`` are the components this site says it deploys: one that is absent fails instead of being skipped.
    ``allowed_skips`` are shell patterns of case ids that may be skipped without failing the run; default all.
    ``cadence`` is the time between two scheduled runs, ``stale_after`` the age at which a result counts no more.
    ``spack_scope`` is a folder of Spack YAML, relative to the site file. ``extras`` is free.
    """

    system: SystemName
    description: Text
    state: State = State.ACTIVE
    owner: Text | None = None
    detect: Detect = Detect()
    schedulers: list[SchedulerSpec] = []
    testbeds: list[Name] = []
    local: LocalUse = LocalUse()
    limits: Limits = Limits()
    deployment: Text | None = None
    promises: list[Name] = []
    allowed_skips: list[Name] = msgspec.field(default_factory=lambda: ["*"])
    node: Node = Node()
    modules: Modules = Modules()
    work_dir: Text | None = None
    network: Network = Network()
    runner: Runner = Runner()
    ci: Ci = Ci()
    collector: Collector = Collector()
    redaction: Tier = "full"
    cadence: Duration | None = None
    stale_after: Duration | None = None
    waivers: list[WaiverSpec] = []
    references: list[Reference] = []
    spack_scope: Text | None = None
    extras: dict[str, Any] = {}

    @property
    def site(self) -> str:
        """The part of the name before the slash."""
        return self.system.partition("/")[0]

    @property
    def name(self) -> str:
        """The part of the name after the slash."""
        return self.system.partition("/")[2]


def json_schema() -> dict[str, Any]:
    """Return the published JSON Schema (draft 2020-12) of a site file."""
    schema = msgspec.json.schema(System)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "ExaWorks SDK site file", **schema}
