"""The interface to a scheduler: pure functions that return commands and parse the output of commands.

A kind never runs its submit, status and cancel commands itself. The supervisor runs them, each in its own process group
with a time limit, so that a hung ``squeue`` blocks nothing. To add a kind, write one new file here and add one line to
the entry point group ``exaworks.schedulers``.
"""

from __future__ import annotations

import abc
import enum
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdk_tests.model.output import telling_line
from site_configs.schema import SchedulerSpec, seconds


class JobState(str, enum.Enum):
    """The state of a native job, the same for every scheduler."""

    QUEUED = "queued"
    """Accepted but not started. Held jobs and jobs whose nodes are being configured count as queued."""
    RUNNING = "running"
    """The job has its nodes, or is finishing."""
    DONE = "done"
    """The job ended by itself with exit code 0."""
    FAILED = "failed"
    """The job ended by itself with another exit code, or died of a signal that the scheduler did not send."""
    CANCELLED = "cancelled"
    """A user or an administrator cancelled the job."""
    TIMEOUT = "timeout"
    """The scheduler ended the job at its walltime."""
    NODE_FAIL = "node_fail"
    """The job lost a node: evidence against the site."""
    PREEMPTED = "preempted"
    """The scheduler ended the job in favour of another one: evidence against the scheduler, not the SDK."""
    UNKNOWN = "unknown"
    """The scheduler reported a state that this kind does not know. It never counts as the end of the job."""

    @property
    def ended(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING, JobState.UNKNOWN)


@dataclass(frozen=True)
class JobSpec:
    """An allocation that the harness requests. ``script`` is an executable file; ``walltime`` is in seconds."""

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
    """The status of one job from one query. Times are in seconds since the epoch; an unknown value is None."""

    state: JobState
    native_state: str
    reason: str | None = None
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    nodes: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: int | None = None
    queue_wait: float | None = None
    """Seconds in the queue, if the scheduler reports this span and no times precise enough to compute it from."""


@dataclass(frozen=True)
class CommandResult:
    """The result of a native command. ``exit_code`` is None if the command was killed at its time limit."""

    argv: tuple[str, ...]
    exit_code: int | None
    stdout: str
    stderr: str

    @property
    def evidence(self) -> str:
        """One line that describes the failure: the command, its exit code, and the reason that it printed."""
        line = telling_line(self.stderr) or telling_line(self.stdout)
        how = "did not answer in time" if self.exit_code is None else f"exit {self.exit_code}"
        return f"{self.program}: {how}" + (f": {line}" if line else "")

    @property
    def program(self) -> str:
        """The bare name of the program that does the work, without ``env``, variables and ``sh -c`` before it."""
        words = list(self.argv)
        while len(words) > 1 and (words[0] == "env" or re.match(r"\w+=", words[0]) or words[:2] == ["sh", "-c"]):
            words = words[1:] if words[0] != "sh" or len(words) < 5 else words[4:]
        return words[0].rpartition("/")[2]


class CommandFailed(Exception):
    """A native command failed, or its output cannot be parsed. The message is the evidence line."""


@dataclass(frozen=True)
class OwnJob:
    """A live job of this user: its name, and its working directory (empty if the scheduler reports none)."""

    name: str
    folder: str


@dataclass(frozen=True)
class AllocationCheck:
    """What the scheduler reports about the allocation that the environment claims to be in.

    alive: whether the job runs and is this user's. here: whether this process is on one of its nodes. enter: the words
    before a command that runs it on the allocation's first node, for a shell that is not (``salloc``). reason: why the
    allocation cannot be used, or is entered with a launcher.
    """

    job_id: str
    alive: bool
    here: bool = False
    nodes: tuple[str, ...] = ()
    enter: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Probe:
    """Whether a scheduler is available on this machine. If it is not, ``reason`` states what is missing."""

    kind: str
    available: bool
    installed: bool = True
    """Whether its commands are on this machine; where they are, one odd answer does not make it absent."""
    version: str | None = None
    location: str | None = None
    reason: str | None = None
    nodes: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


class SchedulerKind(abc.ABC):
    """One kind of scheduler, configured by one entry of a site file.

    ``env`` is the complete environment of its commands. A testbed adds SLURM_CONF and PATH entries to it.
    """

    kind: str
    batch = True
    """Whether this kind grants allocations; ``local`` does not."""
    job_variable = ""
    """The variable that is set inside an allocation of this kind; empty if there is none."""
    package = ""
    """The package to install if the commands are missing, for the reason of a skip."""
    component_names: Mapping[str, str] = {}
    """The name of this kind in components: PSI/J's executor, Parsl's provider or executor, RADICAL's job manager."""
    user_defaults: re.Pattern[str] | None = None
    """Matches the variables with which users change what this kind's commands do without options, such as SBATCH_HOLD.
    The harness's commands and the payloads do not get them: the site file states what a job needs."""
    reservation_option = ""
    """The submit option that requests a reservation, with ``{}`` for its name. ``queue`` if a reservation is a queue to
    submit to; empty if the scheduler has no reservations."""

    def __init__(self, spec: SchedulerSpec, env: Mapping[str, str]) -> None:
        self.spec = spec
        self.env = {name: value for name, value in env.items() if name == spec.account_env or not self.is_default(name)}

    @classmethod
    def is_default(cls, variable: str) -> bool:
        """Return whether a variable changes what the commands of this kind do without options."""
        return cls.user_defaults is not None and cls.user_defaults.fullmatch(variable) is not None

    @abc.abstractmethod
    def probe(self) -> Probe:
        """Check whether the scheduler answers. Takes at most a few seconds; a missing scheduler raises nothing."""

    def installed(self) -> Probe:
        """Check only whether the commands are installed: a nested scheduler does not run until a job starts it."""
        return Probe(kind=self.kind, available=True)

    def allocation_nodes(self) -> tuple[str, ...]:
        """Return the nodes of the allocation that ``env`` belongs to; an empty tuple outside an allocation."""
        return ()

    def configured(self) -> bool:
        """Whether this machine is configured for it. Without a site file, only configured schedulers are probed."""
        return True

    @abc.abstractmethod
    def submit_argv(self, job: JobSpec) -> list[str]:
        """Return the command that submits ``job.script`` and prints the job id."""

    @abc.abstractmethod
    def parse_submit(self, done: CommandResult) -> str:
        """Return the native job id.

        Raises:
            CommandFailed: the scheduler refused the job, or the command printed no job id.
        """

    @abc.abstractmethod
    def status_argv(self, ids: Sequence[str]) -> list[str]:
        """Return one command that queries all these jobs at once."""

    @abc.abstractmethod
    def parse_status(self, done: CommandResult) -> dict[str, JobStatus]:
        """Return the status of each known job, by job id. A job that is not among them has left the queue.

        Raises:
            CommandFailed: the scheduler did not answer, so the state of every job is unknown.
        """

    @abc.abstractmethod
    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the command that cancels jobs. It must have no effect on a job that has ended."""

    @abc.abstractmethod
    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        """Return the scheduler's own command that runs ``argv`` in a job and returns when the job has ended."""

    @abc.abstractmethod
    def ping_argv(self) -> list[str]:
        """Return a command that exits 0 only while the scheduler answers. It provides evidence after a failure."""

    def own_jobs_argv(self) -> list[str] | None:
        """Return the command that lists this user's live jobs, or None if none exists.

        The harness uses it to find jobs that a payload submitted itself, which start below the case's scratch folder,
        and jobs of its own whose id it does not know, by their names.
        """
        return None

    def parse_own_jobs(self, done: CommandResult) -> dict[str, OwnJob]:
        """Return job id → name and working directory.

        Raises:
            CommandFailed: the scheduler did not answer.
        """
        return {}

    def recent_jobs_argv(self) -> list[str] | None:
        """Return the command that lists this user's jobs, if it can also list those that have ended recently.

        ``parse_own_jobs`` reads its output. The diagnosis finds the jobs of a failed payload with it.
        """
        return self.own_jobs_argv()

    def describe_argvs(self, job_id: str) -> list[list[str]]:
        """Return the commands that print everything the scheduler knows about a job, for a diagnosis.

        Their output is searched for known messages and shown to people; nothing else reads it.
        """
        return []

    def accounting_argv(self, ids: Sequence[str]) -> list[str] | None:
        """Return the command that asks the accounting about jobs that status queries do not mention, if any."""
        return None

    def parse_accounting(self, done: CommandResult) -> dict[str, JobStatus]:
        """Return what the accounting knows, by job id.

        Raises:
            CommandFailed: there is no accounting, or it did not answer.
        """
        return {}

    def job_key(self, job_id: str) -> str:
        """Return what two spellings of one job's id have in common, for comparison only."""
        return job_id.strip()

    def inner_commands(self) -> dict[str, list[str]] | None:
        """Return the commands with which a scheduler of this kind is checked from inside one of its allocations.

        They are those of ``sdk_tests.execution.agent.InnerScheduler``: list, cancel, try and busy. None: nothing can be
        checked.
        """
        return None

    def allocation_of(self, environ: Mapping[str, str]) -> AllocationCheck | None:
        """Ask the scheduler about the allocation that ``environ`` claims to be in; None if it claims none.

        The variables of a job outlive it in tmux, in a notebook server or behind an ssh hook, so they are not believed.
        """
        job_id = environ.get(self.job_variable) if self.job_variable else None
        return AllocationCheck(job_id, alive=False, reason=f"{self.kind} jobs cannot be checked") if job_id else None

    def allocation_prefixes(self) -> tuple[str, ...]:
        """Return the prefixes of variables that an allocation of this kind sets; nested programs must not get them."""
        return ()

    def kept_variables(self) -> tuple[str, ...]:
        """Return the variables that are kept although they have such a prefix: they name the scheduler to use."""
        return ()

    def unable(self, component: str) -> str | None:
        """Return why a component cannot submit jobs to this scheduler, for the reason of a skip; None if it can."""
        return None

    def without_allocation(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return an environment without the variables that an outer allocation of this kind set."""
        prefixes, kept = self.allocation_prefixes(), self.kept_variables()
        return {name: value for name, value in environ.items() if name in kept or not name.startswith(prefixes)}

    def walltime(self, queue: str | None, nodes: int, wanted: float) -> float:
        """Return the walltime to request for a job that needs ``wanted`` seconds, within the limits of its queue."""
        limits = self.spec.queue(queue)
        if limits is None:
            return wanted
        least = seconds(limits.min_walltime) if limits.min_walltime else 0
        longest = limits.walltime_limit(nodes)
        return min(max(wanted, least), math.inf if longest is None else longest)

    def reservation(self) -> str | None:
        """Return the reservation of the site file; if the file names a variable, return its value. None if unset."""
        named = self.spec.reservation if self.reservation_option else None
        if named is not None and named.startswith("$"):
            return self.env.get(named[1:]) or None
        return named

    def directives(self) -> list[str]:
        """Return the options that every job needs besides size, queue and account: the site's, and the reservation."""
        name = self.reservation()
        if name is None or self.reservation_option == "queue":
            return [*self.spec.directives]
        return [*self.spec.directives, self.reservation_option.format(name)]

    def queue(self, name: str | None) -> str | None:
        """Return the queue to submit to for a queue of the site file: the reservation, if reservations are queues."""
        return self.reservation() or name if self.reservation_option == "queue" else name

    def view(self, nodes: int) -> dict[str, Any]:
        """Return the value of ``scheduler`` in the request of a payload.

        ``queue_name`` is the name of the queue in the site file. ``queue`` is the name that a component has to request;
        it differs if the queue is a QOS, or a partition with another name.
        """
        name = self.spec.default_queue
        if nodes > 1 and self.spec.multi_node_queue:
            name = self.spec.multi_node_queue
        chosen = self.spec.queue(name)
        queue, qos = chosen.partition_and_qos if chosen is not None else (name, None)
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
            "component_names": dict(self.component_names),
        }
