"""What the harness tells its supervisor: the set-up once, then one order an attempt; JSON lines over a pipe."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from dashboard_client.schema import Timing
from sdk_tests.model.attempt import AttemptResult
from site_configs.schema import SchedulerSpec


class InnerSetup(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduler to be started in the allocations of another: the command, and the variables with which it is found.

    ``within`` is what the outer one is called, whose limits hold for both; ``gpus`` are those of a node.
    """

    within: str
    start: list[str]
    variables: dict[str, str]
    gpus: int = 0


class SchedulerSetup(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduler as the supervisor uses it: its spec and the complete environment of its commands.

    Of a nested one these are the outer scheduler's, which grants its allocations; ``inner`` says what is started there.
    """

    spec: SchedulerSpec
    env: dict[str, str]
    payload_cores: int = 2
    """Cores the shared allocation asks for on each node."""
    inner: InnerSetup | None = None


class Setup(msgspec.Struct, frozen=True, kw_only=True, tag="setup"):
    """Sent once. ``envs`` are complete environments by name, ``deltas`` what they add to a batch job's own."""

    folder: str
    envs: dict[str, dict[str, str]]
    deltas: dict[str, dict[str, str]]
    schedulers: dict[str, SchedulerSetup]
    local_cores: int
    login_slots: int
    python: str
    mark: str


class LaunchRequest(msgspec.Struct, frozen=True, kw_only=True, tag="launch"):
    """One attempt at one cell. ``limit`` bounds a process beside the scheduler; all times are seconds.

    ``first`` is the control of its scheduler, which goes before all others.
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
    limit: float = 60.0
    queue_wait: float = 3600.0
    answer: bool = True
    queue: str | None = None
    account: str | None = None
    first: bool = False

    @property
    def key(self) -> str:
        return f"{self.case_id}#{self.attempt}"


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Cancel everything, land what is left as cancelled, and leave."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag="event"):
    """Progress of one attempt: submitted, queued, started; ``detail`` is the native job id or reason."""

    case_id: str
    what: str
    detail: str = ""


class AttemptFinished(msgspec.Struct, frozen=True, kw_only=True, tag="attempt_finished"):
    """The end of one attempt; each order ends in exactly one."""

    result: AttemptResult


class CleanupFailed(msgspec.Struct, frozen=True, kw_only=True, tag="left"):
    """What the supervisor could not clear away before it left: jobs that may still be in the queue."""

    scheduler: str
    detail: str


class SupervisorStopped(msgspec.Struct, frozen=True, tag="gone"):
    """The supervisor has stopped everything and leaves."""


Instruction = Setup | LaunchRequest | Stop
Message = Event | AttemptFinished | CleanupFailed | SupervisorStopped

_instructions = msgspec.json.Decoder(Setup | LaunchRequest | Stop)
_messages = msgspec.json.Decoder(Event | AttemptFinished | CleanupFailed | SupervisorStopped)


def line(value: msgspec.Struct) -> bytes:
    """Encode one message as one line."""
    return msgspec.json.encode(value) + b"\n"


def instruction(text: bytes) -> Setup | LaunchRequest | Stop:
    """Decode one line from the harness."""
    given: Setup | LaunchRequest | Stop = _instructions.decode(text)
    return given


def message(text: bytes) -> Message:
    """Decode one line from the supervisor."""
    given: Message = _messages.decode(text)
    return given


def attempt_finished(
    request: LaunchRequest, ending: str, *, stdout: bytes = b"", stdout_bytes: int = 0, **rest: Any
) -> AttemptFinished:
    """Make a landing, reading the answer out of what the payload printed."""
    detail = rest.pop("detail", "")
    answers: tuple[dict[str, Any], ...] = ()
    if request.answer and ending == "exited":
        answers, problem = read_answers(stdout, stdout_bytes)
        detail = detail or problem
    rest.setdefault("timing", Timing())
    return AttemptFinished(
        result=AttemptResult(
            case_id=request.case_id,
            attempt=request.attempt,
            ending=ending,
            answers=answers,
            stdout_bytes=stdout_bytes,
            detail=detail,
            argv=tuple(request.argv),
            **rest,
        )
    )


def read_answers(stdout: bytes, size: int) -> tuple[tuple[dict[str, Any], ...], str]:
    """Read the JSON objects a payload printed; the second value says what else was there, empty where nothing was."""
    if size > len(stdout):
        return (), f"standard output has {size} bytes, more than the {len(stdout)} an answer may have"
    try:
        text = stdout.decode("utf-8")
    except UnicodeDecodeError as error:
        return (), f"standard output is not UTF-8 at byte {error.start}"
    decoder = json.JSONDecoder(parse_constant=_refuse)
    found: list[dict[str, Any]] = []
    rest = text.strip()
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError):
            return tuple(found), f"standard output is not one JSON object: {rest[:60]!r}"
        if not isinstance(value, dict):
            return tuple(found), f"standard output holds a JSON {type(value).__name__}, not an object"
        found.append(value)
        rest = rest[end:].lstrip()
    if len(found) != 1:
        return tuple(found), "standard output holds no JSON object" if not found else f"{len(found)} JSON objects"
    return tuple(found), ""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
