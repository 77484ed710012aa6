"""Nodes, queues and jobs of an emulated scheduler, and the decisions about them; nothing is started or stopped here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

WAITING = ("queued", "held")
HAS_NODES = ("running", "lost")


@dataclass
class Node:
    """A node by name; ``up`` is False while it is dead."""

    name: str
    cores: int
    gpus: int = 0
    up: bool = True


@dataclass(frozen=True)
class Queue:
    """A queue with its limits; walltimes in seconds, None where there is no limit.

    steps: pairs of a node count and the longest walltime of a job of up to that many nodes, in rising order.
    """

    name: str
    min_nodes: int = 1
    max_nodes: int | None = None
    min_walltime: float | None = None
    max_walltime: float | None = None
    max_running: int | None = None
    max_queued: int | None = None
    steps: list[list[float]] = field(default_factory=list)

    def longest(self, nodes: int) -> float | None:
        """Return the longest walltime of a job of so many nodes."""
        return next((limit for size, limit in self.steps if nodes <= size), self.max_walltime)


@dataclass
class Job:
    """A job as its owner asked for it, and what has become of it.

    state: ``queued``, ``held``, ``running``, ``lost`` (its node is dead, and nobody knows), ``done``. ended_by: None
    where it ended by itself, else ``user``, ``walltime``, ``node``. ``lines`` and ``env`` are the dialect's own.
    """

    number: int
    name: str
    user: str
    queue: str
    argv: list[str]
    cwd: str
    nodes: int
    cores: int
    walltime: float
    account: str | None = None
    exclusive: bool = False
    rerunnable: bool = False
    env: dict[str, str] = field(default_factory=dict)
    stdin: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    umask: int = 0o022
    state: str = "queued"
    reason: str | None = None
    submitted: float = 0.0
    queued: float = 0.0
    started: float | None = None
    ended: float | None = None
    hosts: list[str] = field(default_factory=list)
    runs: int = 0
    pid: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    ended_by: str | None = None
    ending: bool = False
    lines: dict[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return what a status command may know: all but the environment."""
        return {name: value for name, value in self.__dict__.items() if name != "env"}


@dataclass
class Cluster:
    """Everything the scheduler knows. ``host`` is the server's name.

    exclusive: jobs get whole nodes. accounts: those that may be charged, None for any. resources: names a job may ask
    for beside the dialect's own; required: those it must. refusing and holding are injected faults.
    """

    dialect: str
    host: str
    nodes: list[Node]
    queues: list[Queue]
    default_queue: str
    accounts: list[str] | None = None
    exclusive: bool = False
    resources: list[str] = field(default_factory=list)
    required: list[str] = field(default_factory=list)
    kill_delay: float = 2.0
    jobs: dict[int, Job] = field(default_factory=dict)
    last: int = 1000
    refusing: str | None = None
    holding: bool = False

    def queue(self, name: str | None) -> Queue | None:
        wanted = name or self.default_queue
        return next((queue for queue in self.queues if queue.name == wanted), None)

    def refusal(self, job: Job) -> tuple[str, Any] | None:
        """Return why a job may not enter, as a word the dialect has a message for and the limit it breaks."""
        queue = self.queue(job.queue)
        if self.refusing is not None:
            return "refused", self.refusing
        if queue is None:
            return "no-queue", job.queue
        if self.accounts is not None and job.account not in self.accounts:
            return "account", job.account
        if queue.max_nodes is not None and job.nodes > queue.max_nodes:
            return "nodes-over", queue.max_nodes
        if job.nodes < queue.min_nodes:
            return "nodes-under", queue.min_nodes
        if job.nodes > len(self.nodes) or job.cores > max(node.cores for node in self.nodes):
            return "too-big", len(self.nodes)
        longest = queue.longest(job.nodes)
        if longest is not None and job.walltime > longest:
            return "walltime-over", longest
        if queue.min_walltime is not None and job.walltime < queue.min_walltime:
            return "walltime-under", queue.min_walltime
        mine = sum(1 for other in self.of(queue) if other.user == job.user)
        if queue.max_queued is not None and mine >= queue.max_queued:
            return "queued-over", queue.max_queued
        return None

    def of(self, queue: Queue) -> Iterator[Job]:
        """Yield the jobs of a queue that have not ended."""
        return (job for job in self.jobs.values() if job.queue == queue.name and job.state != "done")

    def free(self, node: Node) -> int:
        """Return how many cores of a node are free; all or none where somebody has the node for himself."""
        here = [job for job in self.jobs.values() if job.state in HAS_NODES and node.name in job.hosts]
        if not node.up or any(job.exclusive for job in here):
            return 0
        return node.cores - sum(job.cores for job in here)

    def startable(self) -> list[tuple[Job, list[str]]]:
        """Return the jobs that can start now with their hosts; the others get the reason why they wait."""
        chosen: list[tuple[Job, list[str]]] = []
        for job in sorted(self.jobs.values(), key=lambda job: job.number):
            if job.state != "queued":
                continue
            queue = self.queue(job.queue)
            assert queue is not None
            running = sum(1 for other in self.of(queue) if other.state in HAS_NODES and other.user == job.user)
            if queue.max_running is not None and running >= queue.max_running:
                job.reason = "user-limit"
                continue
            fitting = [
                node.name
                for node in self.nodes
                if node.up and self.free(node) >= (node.cores if job.exclusive else job.cores)
            ]
            if len(fitting) < job.nodes:
                job.reason = "resources"
                continue
            job.hosts, job.state, job.reason = fitting[: job.nodes], "running", None
            chosen.append((job, job.hosts))
        return chosen


def read(given: dict[str, Any]) -> Cluster:
    """Make a cluster from its configuration file's content."""
    rest = {key: value for key, value in given.items() if key not in ("nodes", "queues")}
    return Cluster(
        nodes=[Node(**node) for node in given["nodes"]], queues=[Queue(**queue) for queue in given["queues"]], **rest
    )
