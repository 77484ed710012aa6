"""The seam to a scheduler: pure functions that say what to run and read what came back.

A kind never runs its submit, status and cancel commands itself; the supervisor does, each in its own process group with
a time limit, so that a hung ``squeue`` holds up nothing. Adding a kind is one new file here and one line under the
entry point group ``exaworks.schedulers``.
"""

from __future__ import annotations

import abc
import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from site_configs.schema import SchedulerSpec, seconds


class JobState(str, enum.Enum):
    """A native job's state in the harness's own terms."""

    QUEUED = "queued"
    """Accepted, not started; held and configuring count as queued."""
    RUNNING = "running"
    """Has its nodes, or is finishing."""
    DONE = "done"
    """Ended by itself with exit code 0."""
    FAILED = "failed"
    """Ended by itself with another exit code, or by a signal of its own."""
    CANCELLED = "cancelled"
    """Ended because someone asked for it."""
    TIMEOUT = "timeout"
    """Ended by the scheduler at its walltime."""
    NODE_FAIL = "node_fail"
    """Lost its node: positive evidence against the site."""
    PREEMPTED = "preempted"
    """Gave way to another job: positive evidence against the scheduler, not the SDK."""
    UNKNOWN = "unknown"
    """The scheduler said something this kind does not know; never taken for an end."""

    @property
    def ended(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING, JobState.UNKNOWN)


@dataclass(frozen=True)
class JobSpec:
    """An allocation the harness asks for: ``script`` is an executable file, ``walltime`` is in seconds."""

    name: str
    script: Path
    output: Path
    nodes: int
    walltime: float
    queue: str | None = None
    account: str | None = None
    cores: int = 1


@dataclass(frozen=True)
class JobStatus:
    """What one status query said of one job; instants are seconds since the epoch, unknown is None."""

    state: JobState
    native_state: str
    reason: str | None = None
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    nodes: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: int | None = None
    waited: float | None = None
    """Seconds in the queue, from a scheduler that tells those and no instants fine enough to subtract."""


@dataclass(frozen=True)
class Finished:
    """A native command that has ended; ``exit_code`` is None where it was killed at its time limit."""

    argv: tuple[str, ...]
    exit_code: int | None
    stdout: str
    stderr: str

    @property
    def line(self) -> str:
        """One line that says what failed, for evidence."""
        said = (self.stderr.strip() or self.stdout.strip()).splitlines()
        how = "did not answer in time" if self.exit_code is None else f"exit {self.exit_code}"
        return f"{self.argv[0]}: {how}" + (f": {said[-1]}" if said else "")


class CommandFailed(Exception):
    """A native command refused or could not be read; the message is the evidence line."""


@dataclass(frozen=True)
class Probe:
    """What a scheduler kind found here; ``reason`` says what was looked for where it was not found."""

    kind: str
    found: bool
    version: str | None = None
    location: str | None = None
    reason: str | None = None
    nodes: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


class SchedulerKind(abc.ABC):
    """One kind of scheduler as one system's site file uses it.

    ``env`` is the complete environment its commands run in (a testbed adds SLURM_CONF and PATH entries there).
    """

    kind: str
    batch = True
    """Whether it grants allocations; ``local`` does not."""
    job_variable = ""
    """The variable that is set inside an allocation of this kind; empty where there is none."""
    package = ""
    """What to install where its commands are absent, for the reason of a skip."""
    speaks: Mapping[str, str] = {}
    """How components call it: PSI/J's executor, Parsl's provider or executor, RADICAL's job manager."""
    reserves = ""
    """How a job asks for a reservation, with ``{}`` for its name; ``queue`` where one is a queue to submit to; empty
    where there are none."""

    def __init__(self, spec: SchedulerSpec, env: Mapping[str, str]) -> None:
        self.spec = spec
        self.env = dict(env)

    @abc.abstractmethod
    def probe(self) -> Probe:
        """Look for the scheduler; takes at most a few seconds and never raises for an absent one."""

    def installed(self) -> Probe:
        """Look for its commands alone, where it is not running: nested, it is started by whoever uses it."""
        return Probe(kind=self.kind, found=True)

    def granted(self) -> tuple[str, ...]:
        """Return the nodes of the allocation that ``env`` is inside of; nothing outside one."""
        return ()

    def configured(self) -> bool:
        """Whether this machine names its scheduler; only then is it asked where no site file does."""
        return True

    @abc.abstractmethod
    def submit_argv(self, job: JobSpec) -> list[str]:
        """Return the command that submits ``job.script`` and prints the job's id."""

    @abc.abstractmethod
    def parse_submit(self, done: Finished) -> str:
        """Return the native job id.

        Raises:
            CommandFailed: submission was refused.
        """

    @abc.abstractmethod
    def status_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the one command that asks about all jobs at once."""

    @abc.abstractmethod
    def parse_status(self, done: Finished) -> dict[str, JobStatus]:
        """Return what is known; a job that is absent from the answer has left the queue.

        Raises:
            CommandFailed: the scheduler did not answer, so nothing is known.
        """

    @abc.abstractmethod
    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the command that cancels jobs; cancelling one that has ended must do no harm."""

    @abc.abstractmethod
    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        """Return the scheduler's own blocking command around ``argv``: it returns when the job has ended."""

    @abc.abstractmethod
    def ping_argv(self) -> list[str]:
        """Return a command that exits 0 only while the scheduler answers: evidence after a failure."""

    def mine_argv(self) -> list[str] | None:
        """Return the command that lists this user's live jobs with their working directories; None where there is none.

        It finds the jobs a payload submitted by itself, which start below the case's scratch folder.
        """
        return None

    def parse_mine(self, done: Finished) -> dict[str, str]:
        """Return job id → working directory.

        Raises:
            CommandFailed: the scheduler did not answer.
        """
        return {}

    def scrub(self) -> tuple[str, ...]:
        """Prefixes of the variables an outer allocation of this kind leaves behind, removed before anything nested."""
        return ()

    def spared(self) -> tuple[str, ...]:
        """Variables that stay although they have such a prefix: they say which scheduler is meant."""
        return ()

    def scrubbed(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return an environment without what an outer allocation of this kind left in it."""
        prefixes, stay = self.scrub(), self.spared()
        return {name: value for name, value in environ.items() if name in stay or not name.startswith(prefixes)}

    def walltime(self, queue: str | None, nodes: int, wanted: float) -> float:
        """Return the walltime to ask for where a job needs ``wanted`` seconds: within what its queue allows."""
        limits = self.spec.queue(queue)
        if limits is None:
            return wanted
        least = seconds(limits.min_walltime) if limits.min_walltime else 0
        longest = limits.walltime_limit(nodes)
        return min(max(wanted, least), math.inf if longest is None else longest)

    def reservation(self) -> str | None:
        """Return the reservation to run in: the site file's, or what the variable it names holds, if anything."""
        named = self.spec.reservation if self.reserves else None
        if named is not None and named.startswith("$"):
            return self.env.get(named[1:]) or None
        return named

    def directives(self) -> list[str]:
        """Return the lines that every job needs beside its size, queue and account: the site's, and its reservation."""
        reserved = self.reservation()
        own = [] if reserved is None or self.reserves == "queue" else [self.reserves.format(reserved)]
        return [*self.spec.directives, *own]

    def queue(self, name: str | None) -> str | None:
        """Return the queue to submit to for one of the site file: the reservation, where that is a queue."""
        return self.reservation() or name if self.reserves == "queue" else name

    def view(self, nodes: int) -> dict[str, Any]:
        """Return what a payload is told: the value of ``scheduler`` in its request.

        ``queue_name`` is the site file's name of the queue; ``queue`` is what a component is to ask for, which differs
        where a queue is a partition of another name or a QOS.
        """
        name = self.spec.default_queue
        if nodes > 1 and self.spec.multi_node_queue:
            name = self.spec.multi_node_queue
        chosen = self.spec.queue(name)
        queue, qos = chosen.asks if chosen is not None else (name, None)
        directives = [*self.directives(), *([f"--qos={qos}"] if qos else [])]
        return {
            "kind": self.kind,
            "queue": self.queue(queue),
            "queue_name": name,
            "account": self.env.get(self.spec.account_env) if self.spec.account_env else None,
            "launcher": self.spec.launchers[0].name if self.spec.launchers else None,
            "launcher_flags": list(self.spec.launchers[0].flags) if self.spec.launchers else [],
            "poll": self.spec.status_interval,
            "exclusive": self.spec.exclusive,
            "directives": directives,
            "reservation": self.reservation(),
            "speaks": dict(self.speaks),
        }
