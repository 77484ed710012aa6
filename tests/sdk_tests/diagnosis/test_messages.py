"""Whose fault a message is: the classification applies the catalogue to what a payload printed."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from sdk_tests.judging.classification import Health, classify
from sdk_tests.model.attempt import AttemptResult, Judgement


def judgement(tail: str, **fields: object) -> Judgement:
    given: dict[str, object] = {"exit_code": 1, "ending": "exited", **fields}
    return classify(AttemptResult(case_id="a/b@local", attempt=1, tail=tail, **given), Health(), control=False)  # type: ignore[arg-type]


def verdict(tail: str, **fields: object) -> tuple[str, str, str]:
    found = judgement(tail, **fields)
    return found.outcome.value, found.cause.cls.value, found.cause.rule


DAMAGED = ("fail", "distribution")
SITE = ("infra", "site")
SCHEDULER = ("infra", "scheduler")
EXAMPLES = [
    *(
        (f"OSError: [Errno {number}] {os.strerror(number)}: '/soft/psij/job.py'", (*SITE, rule))
        for number, rule in (
            (errno.ESTALE, "file-system"),
            (errno.EIO, "file-system"),
            (errno.ENOLCK, "file-system"),
            (errno.EROFS, "read-only"),
            (errno.ENOSPC, "disk-full"),
            (errno.EDQUOT, "quota"),
            (errno.ENOMEM, "out-of-memory"),
            (errno.EMFILE, "too-many-files"),
            (errno.ENFILE, "too-many-files"),
            (errno.EFBIG, "file-size-limit"),
            (errno.ENAMETOOLONG, "path-too-long"),
            (errno.EADDRINUSE, "port-in-use"),
            (errno.EADDRNOTAVAIL, "interface"),
            (errno.ENODEV, "interface"),
            (errno.EHOSTUNREACH, "no-route"),
            (errno.ENETUNREACH, "no-route"),
            (errno.ETIMEDOUT, "connection-timed-out"),
            (errno.ENOSYS, "system-call"),
            (errno.EACCES, "permission"),
            (errno.EPERM, "permission"),
        )
    ),
    ("ConnectionRefusedError: [Errno 111] Connection refused", ("error", "unknown", "connection-refused")),
    ("ConnectionResetError: [Errno 104] Connection reset by peer", ("error", "unknown", "connection-lost")),
    ("BrokenPipeError: [Errno 32] Broken pipe", ("error", "unknown", "connection-lost")),
    ("BlockingIOError: [Errno 11] Resource temporarily unavailable", (*SITE, "too-many-processes")),
    ("sh: 1: Cannot fork: Resource temporarily unavailable", (*SITE, "too-many-processes")),
    ("RuntimeError: can't start new thread", (*SITE, "too-many-processes")),
    ("OpenBLAS blas_thread_init: pthread_create failed for thread 3 of 64", (*SITE, "too-many-processes")),
    ("MemoryError", (*SITE, "out-of-memory")),
    ("terminate called after throwing an instance of 'std::bad_alloc'", (*SITE, "out-of-memory")),
    ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0", (*SITE, "slurm-out-of-memory")),
    ("slurmstepd: error: Detected 1 oom-kill event(s) in step 7.batch cgroup", (*SITE, "slurm-out-of-memory")),
    ("KeyError: 'getpwuid(): uid not found: 54321'", (*SITE, "unknown-user")),
    ("python: /lib64/libc.so.6: version `GLIBC_2.34' not found", (*DAMAGED, "system-library")),
    ("/lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found", (*DAMAGED, "system-library")),
    ("ImportError: libzmq.so.5: file too short", (*DAMAGED, "library-damaged")),
    ("ImportError: /ve/pyzmq.libs/libzmq-2f02442c.so.5.2.5: invalid ELF header", (*DAMAGED, "library-damaged")),
    ("OSError: /ve/x.so: wrong ELF class: ELFCLASS32", (*DAMAGED, "library-architecture")),
    (
        "error while loading shared libraries: libm2.so.2: cannot open shared object file: No such file or directory",
        (*DAMAGED, "library-missing"),
    ),
    ("python: symbol lookup error: /ve/a.so: undefined symbol: PyFoo_Bar", (*DAMAGED, "library-version")),
    ("bash: ./mpiexec: cannot execute binary file: Exec format error", (*DAMAGED, "wrong-architecture")),
    ("ModuleNotFoundError: No module named 'zmq.backend'", (*DAMAGED, "package-missing")),
    ("importlib.metadata.PackageNotFoundError: No package metadata was found for parsl", (*DAMAGED, "package-missing")),
    ("AttributeError: module 'zmq' has no attribute 'Context'", (*DAMAGED, "package-damaged")),
    ("ImportError: cannot import name 'Context' from 'zmq' (unknown location)", (*DAMAGED, "package-damaged")),
    ("EOFError: marshal data too short", (*DAMAGED, "package-damaged")),
    (
        "FileNotFoundError: [Errno 2] No such file or directory: '/ve/lib/python3.11/site-packages/parsl/version.json'",
        (*DAMAGED, "data-file-missing"),
    ),
    (
        "psij.exceptions.SubmitException: sbatch: error: invalid partition specified: debg",
        (*SCHEDULER, "slurm-partition"),
    ),
    (
        "parsl.errors.X: sbatch: error: Batch job submission failed: Invalid account or account/partition combination",
        (*SCHEDULER, "slurm-account"),
    ),
    ("psij.exceptions.SubmitException: sbatch: error: invalid node name specified", (*SCHEDULER, "slurm-error")),
    ("salloc: error: Please name a project (cli_filter)", (*SCHEDULER, "slurm-error")),
    ("/w/psij/ab12/single_launch.sh: line 3: dirname: command not found", (*SITE, "program-absent")),
    ("./x.sh: 1: mkdir: not found", (*SITE, "program-absent")),
    ("env: ‘bash’: No such file or directory", (*SITE, "program-absent")),  # noqa: RUF001 (as env prints it)
    ("FileNotFoundError: [Errno 2] No such file or directory: 'ps'", (*SITE, "program-absent")),
    ("bash: /ve/lib/psij/launchers/scripts/single_launch.sh: No such file or directory", (*DAMAGED, "psij-template")),
    (
        "radical: slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        (*SCHEDULER, "slurm-controller"),
    ),
    ("sbatch: error: Batch job submission failed: Protocol authentication error", (*SITE, "slurm-authentication")),
    ("qsub: would exceed queue debug's per-user limit of jobs in 'Q' state", (*SCHEDULER, "pbs-limit")),
    ("RUNLIMIT: Cannot exceed queue's hard limit(s). Job not submitted.", (*SCHEDULER, "lsf-limit")),
    ("ERROR: project 'abc' is not one that may be charged here. Job not submitted.", (*SCHEDULER, "lsf-refused")),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'mpiexec'", ("fail", "site", "no-mpi-launcher")),
    ("sh: 1: mpirun: not found", ("fail", "site", "no-mpi-launcher")),
    ("socket.gaierror: [Errno -3] Temporary failure in name resolution", (*SITE, "name-resolution")),
    ("UnicodeEncodeError: 'ascii' codec can't encode character '\\u2603' in position 0", (*SITE, "locale")),
    ("/bin/sh: 3: PS1: parameter not set", (*SITE, "activation-script")),
]


@pytest.mark.parametrize(("line", "expected"), EXAMPLES, ids=[line[:60] for line, _ in EXAMPLES])
def test_a_message_has_the_rule_that_names_its_cause(line: str, expected: tuple[str, str, str]) -> None:
    found = judgement(f"Traceback (most recent call last):\n  File 'x.py', line 1\n{line}\n")
    assert (found.outcome.value, found.cause.cls.value, found.cause.rule) == expected
    assert found.diagnosis is not None
    assert found.diagnosis.line == line.strip()
    assert found.diagnosis.advice
    assert "{" not in found.diagnosis.title + found.diagnosis.advice


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGILL, (*DAMAGED, "wrong-architecture")),
        (signal.SIGBUS, (*SITE, "file-system")),
        (signal.SIGXCPU, (*SITE, "cpu-time-limit")),
        (signal.SIGSEGV, ("fail", "component", "killed-by-signal")),
    ],
)
def test_signals_that_a_program_does_not_cause_itself(number: int, expected: tuple[str, str, str]) -> None:
    assert verdict("", exit_code=None, signal=number) == expected


def test_a_kill_for_memory_by_the_scheduler_is_the_sites() -> None:
    found = verdict("", exit_code=None, signal=9, native_state="OUT_OF_MEMORY")
    assert found == ("infra", "site", "slurm-out-of-memory")


@pytest.mark.parametrize(
    ("ending", "detail", "expected"),
    [
        (
            "refused",
            "sbatch: exit 1: sbatch: error: Batch job submission failed: Invalid qos specification",
            "slurm-qos",
        ),
        ("refused", "qsub: exit 170: qsub: Unknown queue", "pbs-queue"),
        ("refused", "bsub: exit 255: debg: No such queue. Job not submitted.", "lsf-queue"),
        ("refused", "flux: exit 1: flux-batch: ERROR: [Errno 22] unsatisfiable request", "flux-unsatisfiable"),
        ("refused", "nothing that is known", "submit-refused"),
        (
            "unreachable",
            "squeue: exit 1: slurm_load_jobs error: Unable to contact slurm controller",
            "slurm-controller",
        ),
        ("queue-wait", "job 7 did not start within the site's queue-wait limit", "queue-wait"),
    ],
)
def test_what_a_scheduler_answered_refines_the_cause_and_the_outcome_stays(
    ending: str, detail: str, expected: str
) -> None:
    outcome, cls, rule = verdict("", ending=ending, exit_code=None, detail=detail)
    assert (outcome, rule) == ("infra", expected)
    assert cls in ("scheduler", "site")


@pytest.mark.parametrize(
    "line",
    [
        "sbatch: error: Batch script is empty!",
        "sbatch: error: Batch script contains DOS line breaks (\\r\\n)",
        "sbatch: error: This does not look like a batch script.  The first",
        "sbatch: error: Unable to open file job.sh",
        "sbatch: unrecognized option '--no-such'",
        "sbatch: error: Script arguments not permitted with --wrap option",
    ],
)
def test_a_script_or_option_that_cannot_be_right_is_not_the_schedulers_fault(line: str) -> None:
    assert verdict(line)[1] != "scheduler"


def test_what_no_rule_knows_is_not_guessed_and_the_best_line_is_kept() -> None:
    found = judgement("some noise\nTraceback (most recent call last):\n  File 'x.py'\nZebraError: striped\nmore\n")
    assert (found.cause.rule, found.cause.cls.value) == ("payload-failed", "component")
    assert found.diagnosis is not None
    assert found.diagnosis.line == "ZebraError: striped"


@pytest.mark.parametrize(
    "line",
    [
        "srun: error: n1: task 0: Killed",
        "srun: error: n1: tasks 0-1,3: Exited with exit code 3",
        "srun: error: Timed out waiting for job step to complete",
    ],
)
def test_the_end_of_the_ranks_is_no_fault_of_their_launcher(line: str) -> None:
    assert verdict(line) == ("fail", "component", "payload-failed")
