"""What the harness and its supervisor send to each other: one JSON object a line, over two pipes.

Strings may hold bytes of another encoding than UTF-8, as environment variables and file names do; they travel as lone
surrogates, which Python's ``json`` can carry and msgspec's encoder cannot.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from dashboard_client.schema import Timing
from sdk_tests.execution.answers import read_answers
from sdk_tests.model.attempt import AttemptResult
from site_configs.schema import SchedulerSpec


class EnvironmentChange(msgspec.Struct, frozen=True, kw_only=True):
    """What turns the environment of a batch job into that of a payload: variables to set, and names to remove."""

    set: dict[str, str] = {}
    unset: list[str] = []


class InnerSetup(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduler to be started inside allocations of another one.

    within: the outer scheduler's name; its limits hold for both. start: the command that starts the inner one.
    variables: with which its commands are found. gpus: of each node. commands: what checks it
    (``SchedulerKind.inner_commands``).
    """

    within: str
    start: list[str]
    variables: dict[str, str]
    gpus: int = 0
    commands: dict[str, list[str]] | None = None


class SchedulerSetup(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduler as the supervisor uses it: its spec and the complete environment of its commands.

    Of a nested scheduler these are the outer one's, which grants its allocations, and ``inner`` is set. payload_cores:
    cores that a shared allocation asks for on each node. testbed: whether its jobs run on this machine.
    """

    spec: SchedulerSpec
    env: dict[str, str]
    payload_cores: int = 2
    inner: InnerSetup | None = None
    testbed: bool = False


class Setup(msgspec.Struct, frozen=True, kw_only=True, tag="setup"):
    """The first message, sent once.

    envs: complete environments by name. changes: by the same names, what turns a batch job's own environment into the
    payload's. mark: the value of ``MARK`` begins with it; it is the run's id. job_token: ends the name of every job of
    the run. local_cores: cores that local cases may use; login_slots: payloads beside the schedulers at once;
    machine_cores: cores of this machine, which everything that runs on it shares, testbeds included. preflights: by
    component, the command that starts it for real, and by the empty name the one that looks at a node; the agent of a
    shared allocation runs them before its cases. shared_cores: whether other runs of this user share the machine's
    cores with this one (``core_budget``).
    """

    folder: str
    envs: dict[str, dict[str, str]]
    changes: dict[str, EnvironmentChange]
    schedulers: dict[str, SchedulerSetup]
    local_cores: int
    login_slots: int
    machine_cores: int
    python: str
    mark: str
    job_token: str
    preflights: dict[str, list[str]] = {}
    shared_cores: bool = False


class FixtureLaunch(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a fixture, and how to run a case in it. All times are seconds.

    argv: starts it. enter: put before the file that names its socket and the command of a case, it runs that command
    in the fixture. scratch: a folder that contains one folder for each start. start: it must be ready after so long.
    walltime: it may exist for so long; limit: with its time in a queue. jobs, cores: those that it uses.
    """

    name: str
    argv: list[str]
    enter: list[str]
    scratch: str
    start: float
    walltime: float
    limit: float
    jobs: int = 0
    cores: int = 1


class LaunchRequest(msgspec.Struct, frozen=True, kw_only=True, tag="launch"):
    """Start one attempt at one cell. All times are seconds.

    env: name of the environment in ``Setup``. limit: bounds a process beside the scheduler. expected: how long it will
    probably take; 0 if that is unknown, and then it counts as long as its walltime. queue_wait: after it, a job that
    has not started is given up. frame: the token around the payload's answer. first: whether it goes before all
    others, as the control of a scheduler does. components: what must be able to start before it. fixture: what it
    shares with other cases; None if it shares nothing but perhaps its allocation.
    """

    case_id: str
    attempt: int
    argv: list[str]
    env: str
    scratch: str
    scheduler: str
    where: str
    nodes: int = 1
    cores: int = 1
    jobs: int = 0
    walltime: float = 60.0
    expected: float = 0.0
    limit: float = 60.0
    queue_wait: float = 3600.0
    answer: bool = True
    frame: str = ""
    queue: str | None = None
    account: str | None = None
    first: bool = False
    alone: bool = False
    components: list[str] = []
    fixture: FixtureLaunch | None = None

    @property
    def key(self) -> str:
        return f"{self.case_id}#{self.attempt}"

    @property
    def duration(self) -> float:
        """The seconds by which requests are ordered."""
        return self.expected or self.walltime


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Cancel everything, report every open attempt as cancelled, and leave."""


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """More requests follow: start nothing until ``Release``, so that their order does not depend on their arrival."""


class Release(msgspec.Struct, frozen=True, tag="release"):
    """All requests that belong together have arrived."""


class GiveUp(msgspec.Struct, frozen=True, tag="give_up"):
    """The control case of a scheduler failed: start nothing more on it, and end soon what runs there."""

    scheduler: str
    reason: str


class Event(msgspec.Struct, frozen=True, kw_only=True, tag="event"):
    """Progress of one attempt: submitted, queued, started; ``detail`` is the native job id or reason."""

    case_id: str
    what: str
    detail: str = ""


class AttemptFinished(msgspec.Struct, frozen=True, kw_only=True, tag="attempt_finished"):
    """The end of one attempt; each launch request ends in exactly one."""

    result: AttemptResult


class CleanupFailed(msgspec.Struct, frozen=True, kw_only=True, tag="cleanup_failed"):
    """Jobs that may still be in the queue of ``scheduler`` when the supervisor leaves, and how to cancel them by hand.

    command: empty where the jobs could not even be listed.
    """

    scheduler: str
    detail: str
    command: str = ""


class SupervisorStopped(msgspec.Struct, frozen=True, tag="supervisor_stopped"):
    """The supervisor has stopped everything and leaves."""


Instruction = Setup | LaunchRequest | Hold | Release | GiveUp | Stop
Message = Event | AttemptFinished | CleanupFailed | SupervisorStopped


def line(value: msgspec.Struct) -> bytes:
    """Encode one message as one line."""
    return json.dumps(msgspec.to_builtins(value)).encode("ascii") + b"\n"


def instruction(text: bytes) -> Instruction:
    """Decode one line from the harness."""
    decoded: Instruction = msgspec.convert(json.loads(text), Instruction)
    return decoded


def message(text: bytes) -> Message:
    """Decode one line from the supervisor."""
    decoded: Message = msgspec.convert(json.loads(text), Event | AttemptFinished | CleanupFailed | SupervisorStopped)
    return decoded


def attempt_finished(
    request: LaunchRequest, ending: str, *, stdout: bytes = b"", stdout_bytes: int = 0, **rest: Any
) -> AttemptFinished:
    """Return the message that ends an attempt; the answer is read from what the payload printed."""
    detail = rest.pop("detail", "")
    answers: tuple[dict[str, Any], ...] = ()
    if request.answer and ending == "exited":
        answers, problem = read_answers(stdout, stdout_bytes, request.frame)
        detail = detail or problem
    rest.setdefault("timing", Timing())
    rest.setdefault("argv", tuple(request.argv))
    return AttemptFinished(
        result=AttemptResult(
            case_id=request.case_id,
            attempt=request.attempt,
            ending=ending,
            answers=answers,
            stdout_bytes=stdout_bytes,
            detail=detail,
            **rest,
        )
    )
