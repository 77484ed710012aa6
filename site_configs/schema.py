"""The typed model of a site file, one file a system; published as JSON Schema by ``exaworks sites schema``.

Durations are ``HH:MM:SS`` strings in the file (``walltime: 00:30:00``) and seconds in Python, see ``seconds()``. Limits
on one value are part of its type, so that the published schema states them too; what two values say about each other is
in ``checks``.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(pattern=r"\S", description="some text")]
Name = Annotated[str, Meta(pattern=r"^\S+$", description="a name without spaces")]
SystemName = Annotated[
    str,
    Meta(
        pattern="^[a-z0-9][a-z0-9_-]*/[a-z0-9][a-z0-9_-]*$",
        description="a name SITE/SYSTEM in small letters, digits, - and _",
    ),
]
Duration = Annotated[
    str, Meta(pattern="^[0-9]{1,6}:[0-5][0-9]:[0-5][0-9]$", description="a duration HH:MM:SS such as 00:30:00")
]
Date = Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="a date YYYY-MM-DD")]
Count = Annotated[int, Meta(ge=1, description="a whole number of at least 1")]
Whole = Annotated[int, Meta(ge=0, description="a whole number, 0 or more")]
Positive = Annotated[float, Meta(gt=0, description="a number above 0")]
Variable = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$", description="the name of an environment variable")]
Address = Annotated[
    str, Meta(pattern="^https?://[^/\\s]", description="an address that starts with http:// or https://")
]
Tier = Annotated[str, Meta(pattern="^(full|minimal)$", description="a redaction tier: full or minimal")]


class State(str, enum.Enum):
    """Whether the machine exists; a retired system is planned only in rehearsal."""

    ACTIVE = "active"
    RETIRED = "retired"


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closed and immutable."""


class Detect(_Struct, frozen=True, kw_only=True):
    """How the machine is recognised: any host name pattern (shell style), and every named environment pattern.

    Where both are given both must hold; with neither the file is never chosen by itself.
    """

    hosts: list[Text] = []
    environment: dict[Variable, Text] = {}


class Queue(_Struct, frozen=True, kw_only=True):
    """One queue (PBS, LSF, Cobalt, Flux) or partition (Slurm), with the limits the site puts on a job in it."""

    name: Name
    min_nodes: Count = 1
    max_nodes: Count | None = None
    min_walltime: Duration | None = None
    max_walltime: Duration | None = None
    max_running: Count | None = None
    max_queued: Count | None = None
    qos: Name | None = None


class Launcher(_Struct, frozen=True, kw_only=True):
    """A parallel launcher of the site: its command name and the flags every launch needs."""

    name: Name
    flags: list[Text] = []


class SchedulerSpec(_Struct, frozen=True, kw_only=True):
    """One scheduler of the system and how to use it.

    ``kind`` names an entry point of ``exaworks.schedulers``; ``account_env`` names the environment variable that holds
    the account (never the account itself); ``directives`` are extra lines for a batch script, without their prefix;
    ``status_interval`` is the number of seconds between bulk status queries.
    """

    kind: Name
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
    nested: bool = False


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
    """The shape of a compute node; ``usable_cores`` is what core specialisation leaves."""

    cores: Count | None = None
    usable_cores: Count | None = None
    gpus: Whole = 0
    gpu: Text | None = None
    architecture: Name | None = None
    memory_gb: Count | None = None


class Modules(_Struct, frozen=True, kw_only=True):
    """The module system and what to load before anything else."""

    system: Name | None = None
    load: list[Name] = []


class Network(_Struct, frozen=True, kw_only=True):
    """How compute nodes reach each other and the outside."""

    interface: Name | None = None
    proxy: Address | None = None
    ca_bundle: Text | None = None


class Runner(_Struct, frozen=True, kw_only=True):
    """The GitLab runner of the site."""

    tags: list[Name] = []
    executor: Name | None = None


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


class System(_Struct, frozen=True, kw_only=True):
    """One machine as its site file describes it.

    ``testbeds`` are the kinds of scheduler brought up, for the run alone, where this machine has the software for one.
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
    collector: Collector = Collector()
    redaction: Tier = "full"
    cadence: Duration | None = None
    stale_after: Duration | None = None
    waivers: list[WaiverSpec] = []
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
