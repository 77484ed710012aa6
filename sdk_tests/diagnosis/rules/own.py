"""The causes that the harness finds without a message: from how an attempt ended, or from what a test function raised.

The rule is decided in ``judging``; here are its title and its advice.
"""

from __future__ import annotations

import signal
from typing import NamedTuple

from dashboard_client.schema import CauseClass, Outcome

OWN: dict[str, tuple[str, str]] = {
    "assertion": (
        "the answer is wrong",
        "compare expected and got; `exaworks explain RUN CASE` shows the whole answer and all logs",
    ),
    "payload-failed": (
        "the payload failed",
        "read the end of its output in the report; `exaworks rerun RUN CASE` runs it again",
    ),
    "killed-by-signal": (
        "the payload was killed by a signal",
        "look for a crash of a library in its output, and for a kill by the machine in `dmesg`",
    ),
    "time-limit": (
        "the time limit was reached",
        "see in the logs what it waited for; if the machine is slow, run again while it is idle",
    ),
    "machine-overloaded": (
        "the machine was overloaded",
        "run again while the machine is idle, or with fewer cases at once (`local: cores:` in the site file)",
    ),
    "queue-wait": (
        "the job waited too long in the queue",
        "raise `limits: queue_wait:` in the site file, or name a queue that starts jobs sooner",
    ),
    "submit-refused": (
        "the scheduler refused the job",
        "submit a job by hand with the same options; correct queue, account and directives in the site file",
    ),
    "scheduler-unreachable": (
        "the scheduler does not answer",
        "check the scheduler's own status command by hand; run again when it answers",
    ),
    "node-failure": ("a node failed", "report the node to the site, and run again"),
    "preempted": ("the job was preempted", "use a queue or QOS whose jobs are not preempted"),
    "control-failed": (
        "the control case failed",
        "run the scheduler's own hello job by hand: `exaworks rerun RUN control/hello@SCHEDULER`",
    ),
    "job-vanished": (
        "the scheduler lost the job",
        "ask the scheduler's accounting about the job; raise `job_unknown_limit:` in the site file if it is slow",
    ),
    "job-ended": (
        "the job ended before the case had a result",
        "ask the scheduler why it ended: `exaworks explain RUN CASE` shows its answer",
    ),
    "not-executable": (
        "a program cannot be started",
        "check that the interpreter of the deployment exists on the node and may be executed there",
    ),
    "out-of-memory": ("not enough memory", "request more memory in `directives:` of the site file"),
    "wrong-architecture": (
        "built for another processor",
        "install the deployment on a machine with the processor of the compute nodes",
    ),
    "file-system": ("a file could not be read", "check the file system of the deployment on that node"),
    "no-answer": ("the payload printed no answer", "run it again by hand: `exaworks rerun RUN CASE`"),
    "garbled-answer": ("the payload's answer cannot be read", "run it again by hand: `exaworks rerun RUN CASE`"),
    "several-answers": ("the payload printed several answers", "run it again by hand: `exaworks rerun RUN CASE`"),
    "judge-raised": (
        "the test function failed on the answer",
        "`exaworks explain RUN CASE` shows the answer; the payload or the test function of the case is wrong",
    ),
    "not-judged": ("pytest did not run the test function", "remove pytest plugins that skip or replace tests"),
    "not-deployed": ("a component is not in the deployment", "install the component in the deployment"),
    "promised-absent": (
        "a promised component is not in the deployment",
        "install the component in the deployment, or remove it from `promises:` of the site file",
    ),
    "version-mismatch": (
        "a component has another version than the release",
        "install the version of the release, or name the deployment with --deployment",
    ),
    "interrupted": ("the run was stopped", "continue it: `exaworks validate --resume RUN`"),
    "supervisor-gone": ("the supervisor died", "see `private/supervisor.log` of the run; run again"),
    "harness-error": ("a defect of the harness", "report it with `private/supervisor.log` of the run"),
    "does-not-start": (
        "a component does not start in the deployment",
        "start it by hand in the activated deployment; reinstall it if its files are damaged",
    ),
    "launcher-does-not-start": (
        "an MPI launcher does not start one process",
        "run it by hand in the activated deployment, as `mpirun -n 1 true`; correct or reinstall the MPI it belongs to",
    ),
    "fixture-does-not-start": (
        "what several cases share does not start",
        "run one of the cases by itself: `exaworks rerun RUN CASE`; it then starts what it needs by itself",
    ),
    "node-condition": ("the node cannot run cases", "correct what the evidence names, or use another node"),
    "damaged-file": (
        "a file of the deployment is not what was installed",
        "reinstall the package of the file in the deployment; check the disk and the quota",
    ),
    "other-dependency": (
        "a package of the deployment lacks what it requires of another one",
        "install the versions of the release; `python -m pip check` in the deployment names the conflict",
    ),
    "promised-need-absent": (
        "a program that the site file names is missing",
        "install it, load its module in the deployment, or correct `launchers:` in the site file",
    ),
    "out-of-reference": (
        "a figure is worse than its reference",
        "compare the figure with earlier runs; correct the reference in the site file if the machine has changed",
    ),
    "reference-unusable": (
        "a reference cannot be compared with the figures of the case",
        "correct `references:` in the site file",
    ),
    "unclassified": ("unknown cause", "`exaworks explain RUN CASE` shows everything that was kept"),
}
"""Title and advice by rule."""


class OfSignal(NamedTuple):
    """The cause of a death by a signal that is not the program's own fault."""

    outcome: Outcome
    cls: CauseClass
    rule: str


SIGNALS: dict[int, OfSignal] = {
    signal.SIGILL: OfSignal(Outcome.FAIL, CauseClass.DISTRIBUTION, "wrong-architecture"),
    signal.SIGBUS: OfSignal(Outcome.INFRA, CauseClass.SITE, "file-system"),
    signal.SIGXCPU: OfSignal(Outcome.INFRA, CauseClass.SITE, "cpu-time-limit"),
    signal.SIGXFSZ: OfSignal(Outcome.INFRA, CauseClass.SITE, "file-size-limit"),
}
"""Signals that are not the program's own fault: an instruction that this processor lacks, an unreadable file, a limit."""
