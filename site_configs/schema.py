"""The typed model of a site file, one file a system; published as JSON Schema by ``exaworks sites schema``.

Durations are ``HH:MM:SS`` strings in the file (``walltime: 00:30:00``) and seconds in Python, see ``seconds()``.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class State(str, enum.Enum):
    """Whether the machine exists; a retired system is planned only in rehearsal."""

    ACTIVE = "active"
    RETIRED = "retired"


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closed and immutable."""


class Detect(_Struct):
    """How the machine is recognised: any host name pattern (shell style), and every named environment pattern."""

    hosts: list[str] = []
    environment: dict[str, str] = {}


class Queue(_Struct):
    """One queue (PBS, LSF, Cobalt, Flux) or partition (Slurm), with the limits the site puts on a job in it."""

    name: str
    min_nodes: int = 1
    max_nodes: int | None = None
    min_walltime: str | None = None
    max_walltime: str | None = None
    max_running: int | None = None
    max_queued: int | None = None
    qos: str | None = None


class Launcher(_Struct):
    """A parallel launcher of the site: its command name and the flags every launch needs."""

    name: str
    flags: list[str] = []


class SchedulerSpec(_Struct):
    """One scheduler of the system and how to use it.

    ``kind`` names an entry point of ``exaworks.schedulers``; ``account_env`` names the environment variable that holds
    the account (never the account itself); ``directives`` are extra lines for a batch script, without their prefix;
    ``status_interval`` is the number of seconds between bulk status queries.
    """

    kind: str
    version_family: str | None = None
    emulated: bool = False
    queues: list[Queue] = []
    default_queue: str | None = None
    multi_node_queue: str | None = None
    account_env: str | None = None
    directives: list[str] = []
    launchers: list[Launcher] = []
    status_interval: float = 10.0
    max_jobs: int = 1
    max_queued: int | None = None
    exclusive: bool = False
    nested: bool = False


class Limits(_Struct):
    """Bounds on a whole run: ``queue_wait`` before a case is given up, node-hours spent, infra retries per case."""

    queue_wait: str = "01:00:00"
    node_hours: float | None = None
    infra_retries: int = 0


class LocalUse(_Struct):
    """Whether ``local`` cases may run on this machine, and on how many cores: login nodes are shared."""

    allowed: bool = False
    cores: int = 2


class Node(_Struct):
    """The shape of a compute node; ``usable_cores`` is what core specialisation leaves."""

    cores: int | None = None
    usable_cores: int | None = None
    gpus: int = 0
    gpu: str | None = None
    architecture: str | None = None
    memory_gb: int | None = None


class Modules(_Struct):
    """The module system and what to load before anything else."""

    system: str | None = None
    load: list[str] = []


class Network(_Struct):
    """How compute nodes reach each other and the outside."""

    interface: str | None = None
    proxy: str | None = None
    ca_bundle: str | None = None


class Runner(_Struct):
    """The GitLab runner of the site."""

    tags: list[str] = []
    executor: str | None = None


class Collector(_Struct):
    """Where results go: the address, and the environment variable that holds the token. ``embedded`` starts one."""

    url: str | None = None
    token_env: str | None = None
    embedded: bool = False


class WaiverSpec(_Struct):
    """A component or case known to be broken here: shell pattern of case ids, reason, ISO date of expiry."""

    cases: str
    reason: str
    expires: str
    owner: str | None = None


class System(_Struct):
    """One machine as its site file describes it.

    ``promises`` are the components this site says it deploys: one that is absent fails instead of being skipped.
    ``allowed_skips`` are shell patterns of case ids that may be skipped without failing the run; default all.
    """

    system: str
    description: str
    state: State = State.ACTIVE
    owner: str | None = None
    detect: Detect = Detect()
    schedulers: list[SchedulerSpec] = []
    local: LocalUse = LocalUse()
    limits: Limits = Limits()
    deployment: str | None = None
    promises: list[str] = []
    allowed_skips: list[str] = msgspec.field(default_factory=lambda: ["*"])
    node: Node = Node()
    modules: Modules = Modules()
    work_dir: str | None = None
    network: Network = Network()
    runner: Runner = Runner()
    collector: Collector = Collector()
    redaction: str = "full"
    cadence: str | None = None
    stale_after: str | None = None
    waivers: list[WaiverSpec] = []
    spack_scope: str | None = None
    extras: dict[str, Any] = {}

    @property
    def site(self) -> str:
        """The part of the name before the slash."""
        return self.system.partition("/")[0]

    @property
    def name(self) -> str:
        """The part of the name after the slash."""
        return self.system.partition("/")[2]


def seconds(duration: str) -> int:
    """Turn ``HH:MM:SS`` (hours may pass 24) into seconds.

    Raises:
        ValueError: the text is not three numbers with minutes and seconds below 60.
    """
    parts = duration.split(":")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise ValueError(f"{duration!r} is not a duration HH:MM:SS")
    hours, minutes, rest = (int(part) for part in parts)
    if minutes > 59 or rest > 59:
        raise ValueError(f"{duration!r} has minutes or seconds above 59")
    return hours * 3600 + minutes * 60 + rest
