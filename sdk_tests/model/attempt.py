"""What comes back from one attempt, before and while it is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dashboard_client.schema import Cause, Timing
from dashboard_client.schema import Outcome as Verdict
from sdk_tests.model.case import Case


@dataclass(frozen=True)
class AttemptResult:
    """One attempt at one case, as the supervisor reports it.

    ``ending`` says how the payload left: ``exited``, ``timeout`` (its walltime), ``queue-wait``, ``total`` (its whole
    budget), ``refused`` (submission), ``unreachable`` (the scheduler stopped answering), ``vanished`` (its job left
    the queue without a word), ``job-ended`` (its allocation ended first), ``node_fail``, ``preempted``, ``unstarted``
    (the program could not be started), ``cancelled``.
    """

    case_id: str
    attempt: int
    ending: str
    exit_code: int | None = None
    signal: int | None = None
    answers: tuple[dict[str, Any], ...] = ()
    stdout_bytes: int = 0
    tail: str = ""
    detail: str = ""
    job_ids: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    native_state: str | None = None
    native_reason: str | None = None
    timing: Timing = field(default_factory=Timing)
    leftovers: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """A verdict reached before any attempt (skip, or a promised component that is absent), or by classification."""

    outcome: Verdict
    cause: Cause


@dataclass
class Outcome:
    """The fixture ``outcome``: what a case's test function asserts on.

    answer: the payload's JSON object (empty for a case with ``answer=False``). nodes: names of the nodes its
    allocation had, or of all nodes of the system. job_ids: jobs the harness submitted for it. scheduler: the kind.
    tail: the end of what it printed on stderr.
    """

    case: Case
    case_id: str
    scheduler: str
    answer: dict[str, Any]
    exit_code: int | None
    nodes: tuple[str, ...] = ()
    job_ids: tuple[str, ...] = ()
    tail: str = ""
    params: dict[str, Any] = field(default_factory=dict)
