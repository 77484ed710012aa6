"""Nodes, queues and jobs of an emulated scheduler, and the scheduling decisions. This module runs no processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

WAITING = ("queued", "held")
HAS_NODES = ("running", "lost")
OWN_REASONS = ("user", "dependency", "time")
"""Why a job is held by its own request; the other reasons are injected faults."""
Condition = list[Any]
"""A dependency: ``["started", NUMBER...]``, ``["ok", …]``, ``["failed", …]`` or ``["ended", …]`` for all of these jobs,
or ``["and", CONDITION...]``, ``["or", CONDITION...]``."""


@dataclass
class Node:
    """A node. ``up`` is False while an injected fault keeps it down."""

    name: str
    cores: int
    gpus: int = 0
    up: bool = True


@dataclass(frozen=True)
class Queue:
    """A queue with its limits. Walltimes are in seconds; None means no limit.

    steps: pairs of a node count and the longest walltime of a job with up to that many nodes, in ascending order.
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
        """Return the longest walltime, in seconds, of a job with this number of nodes."""
        return next((limit for size, limit in self.steps if nodes <= size), self.max_walltime)


@dataclass
class Job:
    """A job: the request of its owner, and its current state.

    state: ``queued``, ``held``, ``running``, ``lost`` (its node is down, so its fate is not known yet) or ``done``.
    ended_by: ``user``, ``walltime``, ``node`` or ``dependency``; None if the job ended by itself. user_hold, depend,
    not_before (seconds since the epoch): what keeps it held. The dialect defines the contents of ``lines`` and ``env``.
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
    user_hold: bool = False
    depend: Condition | None = None
    not_before: float = 0.0
    lines: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that status commands receive: all except the environment."""
        return {name: value for name, value in self.__dict__.items() if name != "env"}


@dataclass
class Cluster:
    """The complete state of the scheduler. ``host`` is the name of its server.

    exclusive: jobs get whole nodes. accounts: the accounts that may be charged; None permits every account. resources:
    the resources that a job may request in addition to those of the dialect. required: the resources that a job must
    request. refusing and holding are injected faults.
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
        """Return the queue with this name, or the default queue if the name is empty; None if there is none."""
        queue_name = name or self.default_queue
        return next((queue for queue in self.queues if queue.name == queue_name), None)

    def refusal(self, job: Job, count: int = 1) -> tuple[str, Any] | None:
        """Return the reason to refuse ``count`` such jobs and the limit that they exceed; None if they are accepted.

        The reason is a key of the dialect's table of messages.
        """
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
        if self._too_big(job):
            return "too-big", len(self.nodes)
        longest = queue.longest(job.nodes)
        if longest is not None and job.walltime > longest:
            return "walltime-over", longest
        if queue.min_walltime is not None and job.walltime < queue.min_walltime:
            return "walltime-under", queue.min_walltime
        same_user = sum(1 for other in self.unfinished(queue) if other.user == job.user)
        if queue.max_queued is not None and same_user + count > queue.max_queued:
            return "queued-over", queue.max_queued
        return None

    def _too_big(self, job: Job) -> bool:
        """Return whether a job is refused because the cluster can never start it. In PBS it waits for ever.

        LSF refuses what has more slots than the cluster. What its hosts cannot provide as requested waits for ever.
        """
        if self.dialect == "pbs":
            return False
        if self.dialect == "lsf":
            return job.nodes * job.cores > sum(node.cores for node in self.nodes)
        return job.nodes > len(self.nodes) or job.cores > max(node.cores for node in self.nodes)

    def unfinished(self, queue: Queue) -> Iterator[Job]:
        """Return the jobs of a queue that have not ended."""
        return (job for job in self.jobs.values() if job.queue == queue.name and job.state != "done")

    def met(self, condition: Condition) -> bool | None:
        """Return whether a dependency is met; None if it never will be."""
        kind, *rest = condition
        if kind in ("and", "or"):
            values = [self.met(each) for each in rest]
            decisive = None if kind == "and" else True
            if decisive in values:
                return decisive
            return all(values) if kind == "and" else None if all(value is None for value in values) else False
        jobs = [self.jobs.get(number) for number in rest]
        states = [_fulfils(kind, job) for job in jobs]
        return None if None in states else all(states)

    def hold_or_queue(self, job: Job) -> bool:
        """Set the state of a waiting job by what it waits for. Return False if its dependency can never be met."""
        if job.state == "held" and job.reason not in OWN_REASONS:
            return True
        met = self.met(job.depend) if job.depend else True
        reasons = (("user", job.user_hold), ("dependency", not met), ("time", job.not_before > time.time()))
        reason = next((name for name, applies in reasons if applies), None)
        if reason is not None:
            job.state, job.reason = "held", reason
        elif job.state == "held":
            job.state, job.reason = "queued", None
        return met is not None

    def free_cores(self, node: Node) -> int:
        """Return the number of free cores of a node: 0 if the node is down or a job has it exclusively."""
        jobs = [job for job in self.jobs.values() if job.state in HAS_NODES and node.name in job.hosts]
        if not node.up or any(job.exclusive for job in jobs):
            return 0
        return node.cores - sum(job.cores for job in jobs)

    def start_jobs(self) -> list[Job]:
        """Assign nodes to every job that can start, and return these jobs. Give every other job its wait reason."""
        started: list[Job] = []
        for job in sorted(self.jobs.values(), key=lambda job: job.number):
            if job.state != "queued":
                continue
            queue = self.queue(job.queue)
            assert queue is not None
            running = sum(1 for other in self.unfinished(queue) if other.state in HAS_NODES and other.user == job.user)
            if queue.max_running is not None and running >= queue.max_running:
                job.reason = "user-limit"
                continue
            fitting = [
                node.name
                for node in self.nodes
                if node.up and self.free_cores(node) >= (node.cores if job.exclusive else job.cores)
            ]
            if len(fitting) < job.nodes:
                job.reason = "resources"
                continue
            job.hosts, job.state, job.reason = fitting[: job.nodes], "running", None
            started.append(job)
        return started


def _fulfils(kind: str, job: Job | None) -> bool | None:
    """Return whether a job fulfils a dependency on it; None if it never will."""
    if job is None:
        return None
    if kind == "started":
        return True if job.started else None if job.state == "done" else False
    if job.state != "done":
        return False
    succeeded = job.exit_code == 0 and not job.ended_by
    return True if kind == "ended" or (kind == "ok") == succeeded else None


def from_configuration(configuration: dict[str, Any]) -> Cluster:
    """Create a cluster from the content of its configuration file."""
    nodes = [Node(**node) for node in configuration["nodes"]]
    queues = [Queue(**queue) for queue in configuration["queues"]]
    rest = {key: value for key, value in configuration.items() if key not in ("nodes", "queues")}
    return Cluster(nodes=nodes, queues=queues, **rest)
