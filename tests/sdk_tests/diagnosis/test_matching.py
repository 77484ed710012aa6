"""Which line of which text is the cause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.diagnosis import Text, Where, find_cause
from sdk_tests.diagnosis.matching import best_line, chosen_lines
from sdk_tests.diagnosis.rule import cause_key, unknown_key
from sdk_tests.diagnosis.text import chains

CAUSE = "The above exception was the direct cause of the following exception:"
CONTEXT = "During handling of the above exception, another exception occurred:"


def output(*lines: str) -> Text:
    return Text(Where.OUTPUT, "output", "\n".join(lines))


def log(*lines: str, name: str = "x.log") -> Text:
    return Text(Where.LOGS, name, "\n".join(lines), "parsl")


def raised(line: str) -> list[str]:
    return ["Traceback (most recent call last):", '  File "a.py", line 1, in <module>', "    import a", line, ""]


@pytest.mark.parametrize("link", [CAUSE, CONTEXT])
def test_the_root_of_a_chain_of_exceptions_is_the_cause(link: str) -> None:
    text = output(
        *raised("ImportError: libzmq.so.5: file too short"),
        link,
        *raised("ModuleNotFoundError: No module named 'zmq'"),
        CAUSE,
        *raised("RuntimeError: task became FAILED"),
    )
    match = find_cause([text])
    assert match is not None
    assert match.line == "ImportError: libzmq.so.5: file too short"


def test_among_equal_ranks_the_root_of_a_chain_comes_before_an_earlier_line() -> None:
    text = output(
        "ModuleNotFoundError: No module named 'optional' (ignored)",
        *raised("ModuleNotFoundError: No module named 'zmq'"),
    )
    match = find_cause([text])
    assert match is not None
    assert match.values == {"module": "zmq"}


def test_chains_are_separated_and_begin_with_their_root() -> None:
    lines = [*raised("KeyError: 'a'"), *raised("ValueError: b"), CAUSE, "", *raised("RuntimeError: c")]
    found = [[each.line for each in chain] for chain in chains([line.strip() for line in lines])]
    assert found == [["KeyError: 'a'"], ["ValueError: b", "RuntimeError: c"]]


HANDLED = [
    "1795945385.258 : radical.saga : 356 : 1404 : WARNING  : skip adaptor radical.saga.adaptors.aws.ec2: test failed",
    "WARNING:psij._plugins:Cannot load plugin",
    "2026-11-29 09:43:32 parsl.providers:123 MainThread [DEBUG]  module not available",
]


@pytest.mark.parametrize("header", HANDLED)
def test_an_exception_that_a_log_reports_as_handled_explains_no_failure(header: str) -> None:
    handled = [header, *raised("ModuleNotFoundError: No module named 'libcloud'"), CAUSE, "", *raised("OSError: x")]
    assert find_cause([log(*handled)]) is None
    assert best_line([log(*handled)]) is None
    failed = [
        "1795 : agent_executing : ERROR : error running Task",
        *raised("PermissionError: [Errno 13] Permission denied: '/x'"),
    ]
    match = find_cause([log(*handled, *failed)])
    assert match is not None
    assert match.rule.id == "permission"


def test_a_line_of_another_program_is_shown_before_an_exception_that_only_says_that_a_job_failed() -> None:
    wrapper = "RuntimeError: the job 88 ended as FAILED with exit code 1: PSI/J has no message"
    line = "mpirun: unrecognized argument -np"
    found = best_line([output(line, *raised(wrapper))])
    assert found is not None
    assert found[0] == line
    assert best_line([output(*raised(wrapper))]) is None


def test_the_code_in_a_traceback_is_no_message_and_a_line_of_another_program_within_it_is_one() -> None:
    code = 'raise TimeoutError(f"Invalid account or account/partition combination of {job}")'
    lines = ["Traceback (most recent call last):", '  File "a.py", line 1, in f', f"    {code}", "KeyError: 1"]
    assert find_cause([output(*lines)]) is None
    lines.insert(3, "sbatch: error: Batch job submission failed: Invalid qos specification")
    match = find_cause([output(*lines)])
    assert match is not None
    assert match.rule.id == "slurm-qos"


def test_the_most_specific_message_wins_wherever_it_is() -> None:
    client = output(*raised("ConnectionRefusedError: [Errno 111] Connection refused"))
    agent = log("2026 ERROR worker: OSError: [Errno 28] No space left on device: '/tmp/x'", name="manager.log")
    match = find_cause([client, agent])
    assert match is not None
    assert (match.rule.id, match.text.name) == ("disk-full", "manager.log")


def test_a_general_message_in_a_log_counts_only_in_a_line_that_reports_an_error() -> None:
    retried = log("DEBUG connection refused, trying the next address")
    assert find_cause([retried]) is None
    failed = log("ERROR ConnectionRefusedError: [Errno 111] Connection refused")
    match = find_cause([failed])
    assert match is not None
    assert match.rule.id == "connection-refused"


HEALTHY = [
    ("radical.pilot", "bootstrap_0.out", "hostname: Name or service not known"),
    ("radical.pilot", "pmgr_launching.0000.err", "INFO:psij._plugins:No module named 'flux'"),
    (
        "parsl",
        "manager.log",
        "2026-11-29 06:24:23 Interchange-Communicator process_worker_pool:322 ERROR: Failed to "
        "connect to interchange (tcp://127.0.0.1:55017)",
    ),
    ("parsl", "parsl.log", "2026-11-29 06:50:27 Task-Launch_0 DEBUG: Task 0 will not be sent, connection refused once"),
    ("parsl", "parsl.log", "2026-11-29 06:50:27 INFO: Standard error for task 0 will not be redirected."),
]
"""Lines of logs of cases that passed."""


@pytest.mark.parametrize(("owner", "name", "line"), HEALTHY, ids=[line[:40] for _, _, line in HEALTHY])
def test_what_the_logs_of_a_passing_case_contain_is_no_cause(owner: str, name: str, line: str) -> None:
    assert find_cause([Text(Where.LOGS, name, line, owner)]) is None


def test_a_schedulers_message_in_a_components_exception_is_the_schedulers_fault() -> None:
    line = "psij.SubmitException: sbatch: error: Batch job submission failed: Invalid qos specification"
    match = find_cause([output(*raised(line), CAUSE, *raised("RuntimeError: job became FAILED"))])
    assert match is not None
    assert match.rule.cls.value == "scheduler"


@pytest.mark.parametrize(
    "wrapper",
    [
        "AssertionError: ",
        "RuntimeError: task became FAILED",
        "Exception: Unknown error",
        "ValueError: bufsize exceeded",
    ],
)
def test_a_wrapper_is_never_the_line_that_is_shown(wrapper: str) -> None:
    text = output(*raised("ZebraError: striped"), CAUSE, *raised(wrapper))
    best = best_line([text])
    assert best is not None
    assert best[0] == "ZebraError: striped"
    assert best_line([output(*raised(wrapper))]) is None


def test_the_lines_of_a_log_that_are_shown_hold_the_cause_even_if_errors_follow_by_the_thousand() -> None:
    text = log("INFO start", "ERROR no launch method for task task.000000", *(f"ERROR number {n}" for n in range(5000)))
    shown = chosen_lines(text, 5)
    assert shown[0] == "ERROR no launch method for task task.000000"
    assert len(shown) == 5


def test_a_log_without_any_error_shows_its_last_lines() -> None:
    assert chosen_lines(log("a", "b", "", "c", "d"), 5) == ["b", "c", "d"]


def test_equal_causes_have_equal_keys_on_different_machines_and_different_causes_have_not() -> None:
    def key(path: str, library: str) -> str:
        match = find_cause([output(f"ImportError: {path}/{library}: file too short")])
        assert match is not None
        return cause_key(match.rule.id, match.values.values())

    assert key("/home/a/ve", "libzmq.so.5") == key("/opt/other", "libzmq.so.5")
    assert key("/opt", "libzmq.so.5") != key("/opt", "libsodium.so.23")
    assert unknown_key("r", "job 17 in /a/b failed") == unknown_key("r", "job 18 in /c failed")
    assert unknown_key("r", "a failed") != unknown_key("r", "b failed")


def test_a_key_contains_no_value_of_the_message() -> None:
    match = find_cause([output("sbatch: error: invalid partition specified: secret-project")])
    assert match is not None
    assert "secret" not in cause_key(match.rule.id, match.values.values())


@given(st.text(max_size=300))
def test_any_text_is_searched_without_an_error(content: str) -> None:
    for where in Where:
        text = Text(where, "x", content)
        find_cause([text])
        chosen_lines(text, 3)
        best_line([text])


def test_an_exception_directly_below_a_call_without_its_code_is_a_message() -> None:
    lines = [
        "Traceback (most recent call last):",
        '  File "/ve/lib/python3.11/site-packages/psij/__init__.py", line 14, in <module>',
        "    from .job import Job",
        '  File "<frozen importlib._bootstrap_external>", line 672, in _compile_bytecode',
        "EOFError: marshal data too short",
    ]
    match = find_cause([output("\n".join(lines))])
    assert match is not None
    assert match.rule.id == "package-damaged"
