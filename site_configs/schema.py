"""The typed model of a site file, one file for each system; ``exaworks sites schema`` prints it as JSON Schema.

Durations are ``HH:MM:SS`` strings in the file (``walltime: 00:30:00``) and seconds in Python, see ``seconds()``. Limits
of a single value are part of its type, so that the published schema states them too; the module ``checks`` compares
values with each other.
"""

from __future__ import annotations

from typing import Any

import msgspec

from site_configs.schema_ci import Ci as Ci
from site_configs.schema_ci import Runner as Runner
from site_configs.values import (
    Address,
    Count,
    Date,
    Dialect,
    Duration,
    Glibc,
    LauncherKind,
    Match,
    Name,
    Percent,
    Positive,
    ProxyUse,
    Reservation,
    SystemName,
    Text,
    Tier,
    Variable,
    Whole,
)
from site_configs.values import State as State
from site_configs.values import seconds as seconds


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the model's structs: immutable, and unknown keys are errors."""


class Detect(_Struct, frozen=True, kw_only=True):
    """How the machine is recognised: by one of the host name patterns (shell style) and all environment patterns.

    If the file has both kinds, both must match; with ``match: any`` one of them is enough. Without any pattern the
    system is never detected: it has to be chosen by name.
    """

    hosts: list[Text] = []
    environment: dict[Variable, Text] = {}
    match: Match = Match.ALL


class Step(_Struct, frozen=True, kw_only=True):
    """A walltime limit that depends on the size of a job: it holds for jobs of up to ``nodes`` nodes."""

    nodes: Count
    max_walltime: Duration


class Queue(_Struct, frozen=True, kw_only=True):
    """One queue (PBS, LSF, Cobalt, Flux) or partition (Slurm), with the limits that the site sets for its jobs.

    On Slurm a queue may be a partition, a QOS or both. ``name`` is the partition, unless ``partition`` names another
    one or ``by_qos`` is true, which means that jobs name no partition. If ``qos`` is given, jobs name it as well.
    ``steps`` are walltime limits by job size, in rising order; larger jobs have the limit ``max_walltime``.
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
    def partition_and_qos(self) -> tuple[str | None, str | None]:
        """The partition and the QOS that a job in this queue has to name; each may be None."""
        return (None if self.by_qos else self.partition or self.name), self.qos

    def walltime_limit(self, nodes: int = 1) -> int | None:
        """Return the longest walltime of a job on ``nodes`` nodes, in seconds; None if no limit is known."""
        limits = [step.max_walltime for step in self.steps if nodes <= step.nodes][:1]
        limits += [self.max_walltime] if self.max_walltime else []
        return min((seconds(limit) for limit in limits), default=None)

    def admits(self, nodes: int, walltime: float) -> bool:
        """Return whether a job of ``nodes`` nodes and ``walltime`` seconds is within the limits."""
        longest = self.walltime_limit(nodes)
        return (
            self.min_nodes <= nodes
            and (self.max_nodes is None or nodes <= self.max_nodes)
            and (longest is None or walltime <= longest)
            and (self.min_walltime is None or walltime >= seconds(self.min_walltime))
        )


class Launcher(_Struct, frozen=True, kw_only=True):
    """A parallel launcher of the site: its command, the kind of its options, and flags that every launch needs.

    Without ``kind``, the name of the command decides. A command that several vendors provide, such as ``mpiexec``,
    then takes the options of the MPI standard.
    """

    name: Name
    kind: LauncherKind | None = None
    flags: list[Text] = []

    @property
    def option_kind(self) -> LauncherKind:
        """The kind of options that the command takes: ``kind``, or the kind that its name implies."""
        if self.kind is not None:
            return self.kind
        try:
            return LauncherKind(self.name.rpartition("/")[2])
        except ValueError:
            return LauncherKind.MPIEXEC


class SchedulerSpec(_Struct, frozen=True, kw_only=True):
    """One scheduler of the system and how to use it.

    ``kind`` names an entry point of ``exaworks.schedulers``. ``name`` distinguishes several schedulers of a kind; the
    default is the kind. ``account_env`` names the environment variable that holds the account (never the account
    itself). ``directives`` are extra lines for a batch script, without their prefix. ``status_interval`` is the number
    of seconds between bulk status queries. A job that is absent from the scheduler's answers for ``job_unknown_limit``
    seconds counts as gone. ``result_grace`` is the number of seconds after a job's end in which its results may still
    appear on the shared file system. ``reservation`` may be ``$VARIABLE``, since reservations change.

    ``job_unknown_limit``: seconds for which a job may be absent from the scheduler's answers before it counts as gone.
    ``result_grace``: seconds after a job's end in which its results may still appear on the shared file system, whose
    clients cache what a folder contains for a minute or more.

    ``dialect``: what an LSF understands. Without it, the LSF is asked before each run.

    A ``nested`` scheduler has no queue of its own. It is started inside an allocation of the scheduler ``within``
    (default: the first one that is not nested), with the command ``start``, after the modules in ``modules`` are
    loaded. In the command ``{nodes}``, ``{cores}`` (usable cores of a node) and ``{gpus}`` (of a node) are replaced.
    """

    kind: Name
    name: Name | None = None
    version_family: Text | None = None
    dialect: Dialect | None = None
    emulated: bool = False
    queues: list[Queue] = []
    default_queue: Name | None = None
    multi_node_queue: Name | None = None
    account_env: Variable | None = None
    directives: list[Text] = []
    launchers: list[Launcher] = []
    status_interval: Positive = 10.0
    job_unknown_limit: Positive = 120.0
    result_grace: Positive = 90.0
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
        """The name of this scheduler in case ids and messages: ``name``, or else ``kind``."""
        return self.name or self.kind

    def queue(self, name: str | None) -> Queue | None:
        """Return the listed queue of that name, or the default queue for None."""
        wanted = name or self.default_queue
        return next((queue for queue in self.queues if queue.name == wanted), None)


class Limits(_Struct, frozen=True, kw_only=True):
    """Limits of a run: ``queue_wait`` until a waiting case is given up, node-hours in total, infra retries per case."""

    queue_wait: Duration = "01:00:00"
    node_hours: Positive | None = None
    infra_retries: Whole = 0


class LocalUse(_Struct, frozen=True, kw_only=True):
    """Whether ``local`` cases may run on this machine, and on how many cores, since login nodes are shared.

    ``cores: 0`` means all cores of the machine; ``core_limit()`` returns the number of cores to plan with.
    """

    allowed: bool = False
    cores: Whole = 2

    def core_limit(self, available: int) -> int:
        """Return how many of a machine's ``available`` cores local cases may use; at least one."""
        return max(1, min(self.cores or available, available))


class Node(_Struct, frozen=True, kw_only=True):
    """The hardware of a compute node, and the number of nodes in the machine.

    ``cores`` are physical; a scheduler that counts hardware threads counts ``threads_per_core`` times as many.
    ``usable_cores``: the cores that core specialisation leaves to jobs.
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
    """The module system, the folders of modules to add first (``use``), and the modules to load first (``load``)."""

    system: Name | None = None
    use: list[Text] = []
    load: list[Name] = []


class SpackHost(_Struct, frozen=True, kw_only=True):
    """The machine as Spack sees it, so that a lock can be made elsewhere.

    ``os`` and ``target`` are what ``spack arch`` prints there, such as ``sles15`` and ``zen3``; ``glibc`` is the
    version that ``ldd --version`` prints.
    """

    os: Name
    target: Name
    glibc: Glibc


class Network(_Struct, frozen=True, kw_only=True):
    """How compute nodes reach each other and the outside."""

    interface: Name | None = None
    proxy: Address | None = None
    proxy_use: ProxyUse = ProxyUse.EVERYWHERE
    no_proxy: list[Text] = []
    ca_bundle: Text | None = None


class Collector(_Struct, frozen=True, kw_only=True):
    """The collector that gets the results: its address, and the environment variable that holds the token.

    With ``embedded``, a collector is started for the run.
    """

    url: Address | None = None
    token_env: Variable | None = None
    embedded: bool = False


class WaiverSpec(_Struct, frozen=True, kw_only=True):
    """Cases that are known to fail here: a shell pattern of case ids, the reason, and the ISO date of expiry."""

    cases: Name
    reason: Text
    expires: Date
    owner: Text | None = None


class Reference(_Struct, frozen=True, kw_only=True):
    """The expected value of a case's metric here, and by how many percent it may be worse before the case fails.

    If several references match a case and metric, the first one counts. A metric without a reference is recorded but
    not judged.
    """

    cases: Name
    metric: Name
    value: Positive
    unit: Text
    tolerance: Percent


class Source(_Struct, frozen=True, kw_only=True):
    """A public page and the values of the file that it states, so that they can be compared with it again.

    ``facts`` are keys of the file; a key covers everything below it. ``changed`` is the date of the page's last change.
    ``as_of`` is the state in which it was read: the day itself, or the date of the stored copy that was read.
    ``checked`` is the day on which the values were compared with it.
    """

    page: Address
    section: Text | None = None
    facts: list[Name]
    changed: Date | None = None
    as_of: Date | None = None
    checked: Date | None = None


class System(_Struct, frozen=True, kw_only=True):
    """One machine as its site file describes it.

    ``testbeds`` are kinds of scheduler that are started for the run, if this machine has their software.
    ``deployment`` is the software under test; of a list, each one is tested, and each must be there. Those under
    ``deployment_if_installed`` are tested too, where they are on this machine. ``release`` or ``spack`` without a name
    mean the newest release, installed with pip when it is first needed, or with Spack by ``exaworks install``, which a
    pipeline runs first.
    ``promises`` are the components that this site deploys: a missing one is a failure instead of a skip.
    ``allowed_skips`` are shell patterns of case ids that may be skipped without failing the run; the default is all.
    ``cadence`` is the time between two scheduled runs; a result older than ``stale_after`` is stale.
    ``spack_scope`` is a folder of Spack YAML, relative to the site file; with ``spack_host``, ``exaworks release lock``
    concretizes with it on any machine. ``sources`` are the public pages that state the values of the file.
    ``extras`` holds any other values.
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
    deployment: Text | list[Text] | None = None
    deployment_if_installed: list[Text] = []
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
    spack_host: SpackHost | None = None
    sources: list[Source] = []
    extras: dict[str, Any] = {}

    @property
    def deployments(self) -> tuple[str, ...]:
        """The deployments that are tested without ``--deployment``, the first one with plain case ids."""
        if self.deployment is None:
            return ()
        return (self.deployment,) if isinstance(self.deployment, str) else tuple(self.deployment)

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
