"""Whose fault a message of the machine is: each rule with the words as programs print them."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from sdk_tests.judging.classification import Health, classify
from sdk_tests.judging.message_rules import RULES, matches
from sdk_tests.model.attempt import AttemptResult


def verdict(tail: str, **fields: object) -> tuple[str, str, str]:
    given: dict[str, object] = {"exit_code": 1, **fields}
    result = AttemptResult(case_id="a/b@local", attempt=1, ending="exited", tail=tail, **given)  # type: ignore[arg-type]
    judgement = classify(result, Health(), control=False)
    return judgement.outcome.value, judgement.cause.cls.value, judgement.cause.rule


EXAMPLES = [
    *(
        (f"OSError: [Errno {number}] {os.strerror(number)}: '/soft/psij/job.py'", ("infra", "site", rule))
        for number, rule in (
            (errno.ESTALE, "file-system"),
            (errno.EIO, "file-system"),
            (errno.EROFS, "file-system"),
            (errno.ENOSPC, "disk-full"),
            (errno.EDQUOT, "disk-full"),
            (errno.ENOMEM, "out-of-memory"),
            (errno.EMFILE, "resource-limit"),
            (errno.ENFILE, "resource-limit"),
        )
    ),
    ("BlockingIOError: [Errno 11] Resource temporarily unavailable", ("infra", "site", "resource-limit")),
    ("sh: 1: Cannot fork: Resource temporarily unavailable", ("infra", "site", "resource-limit")),
    ("RuntimeError: can't start new thread", ("infra", "site", "resource-limit")),
    ("MemoryError", ("infra", "site", "out-of-memory")),
    ("terminate called after throwing an instance of 'std::bad_alloc'", ("infra", "site", "out-of-memory")),
    ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0", ("infra", "site", "out-of-memory")),
    ("slurmstepd: error: Detected 1 oom-kill event(s) in step 7.batch cgroup", ("infra", "site", "out-of-memory")),
    ("KeyError: 'getpwuid(): uid not found: 54321'", ("infra", "site", "unknown-user")),
    ("python: /lib64/libc.so.6: version `GLIBC_2.34' not found", ("fail", "distribution", "system-library")),
    ("/lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found", ("fail", "distribution", "system-library")),
    ("ImportError: libzmq.so.5: file too short", ("fail", "distribution", "import-failed")),
    ("bash: ./mpiexec: cannot execute binary file: Exec format error", ("fail", "distribution", "wrong-architecture")),
]


@pytest.mark.parametrize(("line", "expected"), EXAMPLES, ids=[line[:60] for line, _ in EXAMPLES])
def test_a_message_of_the_machine_is_not_the_components_fault(line: str, expected: tuple[str, str, str]) -> None:
    traceback = f"Traceback (most recent call last):\n  File 'x.py', line 1\n{line}\n"
    assert verdict(traceback) == expected
    assert any(found == line.strip() for _, found in matches(traceback))


def test_every_rule_has_an_example() -> None:
    used = {rule.pattern for line, _ in EXAMPLES for rule, _ in matches(line)}
    assert {rule.rule for rule in RULES if rule.pattern in used} == {rule.rule for rule in RULES}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGILL, ("fail", "distribution", "wrong-architecture")),
        (signal.SIGBUS, ("infra", "site", "file-system")),
        (signal.SIGSEGV, ("fail", "component", "killed-by-signal")),
    ],
)
def test_signals_that_a_program_does_not_cause_itself(number: int, expected: tuple[str, str, str]) -> None:
    assert verdict("", exit_code=None, signal=number) == expected


def test_a_kill_for_memory_by_the_scheduler_is_the_sites() -> None:
    assert verdict("", exit_code=None, signal=9, native_state="OUT_OF_MEMORY") == ("infra", "site", "out-of-memory")
