"""The results of attempts: before judging, as a verdict, and as the value that a test function asserts on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dashboard_client.schema import Cause, Diagnosis, Timing
from dashboard_client.schema import Outcome as Verdict
from sdk_tests.errors import NodesUnknownError
from sdk_tests.model.case import Case


@dataclass(frozen=True)
class AttemptResult:
    """How one attempt at one case ended, as the supervisor reports it.

    ending: ``exited``; ``timeout`` (the walltime is over); ``queue-wait`` (the job did not start in time); ``refused``
    (the scheduler refused the submission); ``unreachable`` (the scheduler stopped answering); ``vanished`` (the job is
    no longer in the queue and the scheduler reports no end state); ``job-ended`` (the allocation ended first);
    ``job-cancelled`` (so it did, because somebody else cancelled its job);
    ``node_fail``; ``preempted``; ``unstarted`` (the program could not be started); ``cancelled``; ``control-failed``
    (the control case of its scheduler failed); ``blocked`` (it was not started, since the component ``detail`` does not
    start on its node; the reason is ``tail``); ``harness-error`` (a defect of the harness).

    answers: the JSON objects that the payload printed. tail: the end of its output on stderr. detail: one line of
    evidence. native_state, native_reason, job_ids, nodes: what the scheduler reported. orphan_processes: commands of
    the processes that outlived the case and were killed. argv: the command line as it was started; submit_command: the
    one that submitted its job. requeues: how often that job went back into the queue. clock_offset: seconds by which
    the node's clock was ahead of this machine's, if that was noticed. disturbed: why its allocation was not healthy
    while it ran; empty if it was. starved: the share of its time for which it could have run and had no core, if it
    reached a time limit. fixture: the fixture that it shared with other cases; empty if it shared none.
    fixture_failed: it did not run, because that fixture did not start; exit code, output and so on are the fixture's.
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
    orphan_processes: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    submit_command: tuple[str, ...] = ()
    requeues: int = 0
    clock_offset: float | None = None
    disturbed: str = ""
    starved: float = 0.0
    fixture: str = ""
    fixture_failed: bool = False


@dataclass(frozen=True)
class Judgement:
    """The outcome of a cell and its cause, decided by the plan, by classification or from pytest's reports.

    ``diagnosis`` is for people; ``sdk_tests.diagnosis.completed`` adds one to a failure that has none.
    """

    outcome: Verdict
    cause: Cause
    diagnosis: Diagnosis | None = None


@dataclass
class Outcome:
    """The value of the fixture ``outcome``, on which a case's test function asserts.

    answer: the payload's JSON object (empty for a case with ``answer=False``). nodes: the names of the nodes of its
    allocation, or of all nodes of the system. job_ids: the jobs that the harness submitted for it. scheduler: the kind
    of scheduler. tail: the end of its output on stderr.
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

    def ran_on(self, *names: str) -> bool:
        """Return whether these are names of nodes of its allocation.

        Raises:
            NodesUnknownError: the scheduler reported no nodes, so that any host would do.
        """
        if not self.nodes:
            raise NodesUnknownError("the scheduler reported no nodes for this case: where it ran cannot be judged")
        return set(names) <= set(self.nodes)
