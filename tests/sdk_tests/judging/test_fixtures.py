"""Cases that share a fixture: it is started once, and each case has the verdict that it has alone."""

from __future__ import annotations

import os
import signal
import textwrap
from pathlib import Path

import pytest

from dashboard_client.causes import root_causes
from sdk_tests import Fixture
from tests.running import running
from tests.sdk_tests.bench import Bench, RunResult
from tests.waiting import wait_until

PROGRAM = """
    import contextlib, os, pathlib, subprocess, threading, time
    import of_the_fixture

    @contextlib.contextmanager
    def fixture(request):
        with pathlib.Path(FOLDER, "started").open("a") as file:
            file.write(f"{os.getpid()}\\n")
        subprocess.Popen(["setsid", "sleep", SECONDS])
        STARTING
        of_the_fixture.shared = os.getpid()
        yield
"""
"""A fixture that leaves a daemon behind; STARTING is what it does meanwhile."""

DIES = """
def die():
    if len(pathlib.Path(FOLDER, "started").read_text().split()) == 1:
        while not os.path.exists(SERVED):
            time.sleep(0.02)
        os._exit(7)
"""
"""Ends the first process of a fixture as soon as it has served a case."""

ANSWER = """
    import json, os, sys
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    import of_the_fixture
    BODY
    params = json.loads(sys.argv[-1])["params"]
    print(json.dumps({"shared": of_the_fixture.shared, "pid": os.getpid(), "folder": os.getcwd(), "params": params}))
"""


class Shared:
    """A bench whose cases share one fixture."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.folder = bench, bench.folder
        self.daemon = f"sleep {100000 + hash(bench.folder) % 900000}"
        self.fixture = Fixture("pool", payload=str(bench.folder / "pool.py"))
        self.bench.payload("of_the_fixture", "shared = None")
        self.program()

    def program(self, starting: str = "", more: str = "") -> None:
        text = textwrap.dedent(PROGRAM).replace("STARTING", starting) + more
        text = text.replace("FOLDER", repr(str(self.folder)))
        self.bench.payload("pool", text.replace("SECONDS", repr(self.daemon.split()[1])))

    def case(self, name: str, body: str = "", judge: str = "pass", **declared: object) -> str:
        source = textwrap.dedent(ANSWER).replace("BODY", body)
        return self.bench.case(name, source, judge, **{"fixture": self.fixture, **declared})

    @property
    def starts(self) -> list[str]:
        """The processes of the fixture, first to last."""
        path = self.folder / "started"
        return path.read_text().split() if path.exists() else []

    def in_fixture(self) -> str:
        """Return source that is true where a payload runs in the process of the fixture."""
        return f"str(os.getpid()) in open({str(self.folder / 'started')!r}).read().split()"


@pytest.fixture
def shared(bench: Bench) -> Shared:
    return Shared(bench)


def outcomes(result: RunResult) -> dict[str, tuple[str, int]]:
    """Return the outcome of each case with the number of its final attempt."""
    effective = result.run.effective()
    assert all(record.retries.final for record in effective.values())
    return {
        case_id.partition("/")[2].partition("@")[0]: (record.verdict.outcome.value, record.retries.attempt)
        for case_id, record in effective.items()
        if record.case.component != "control"
    }


def test_cases_run_in_the_process_of_their_fixture_with_their_own_folders_params_and_judges(shared: Shared) -> None:
    body = "assert os.environ.setdefault('OF_A_CASE', str(os.getpid()) + os.getcwd()).endswith(os.getcwd())"
    judge = """
        answer = outcome.answer
        assert answer["params"] == outcome.params
        assert outcome.case.name in answer["folder"].rpartition("/")[2]
        assert answer["shared"] == (answer["pid"] if outcome.case.fixture else None)
    """
    case_ids = [shared.case(name, body, judge, params={"name": name}) for name in ("one", "two", "three")]
    shared.case("alone", judge=judge, fixture=None)
    result = shared.bench.run()
    assert result.code == 0, result.output
    assert outcomes(result) == dict.fromkeys(("one", "two", "three", "alone"), ("pass", 1))
    assert len(shared.starts) == 1
    assert not Path(f"/proc/{shared.starts[0]}").exists()
    assert running(f"{shared.daemon}$") == []
    for case_id in case_ids:
        record = result.only(case_id)
        assert record.extras["fixture"] == "fixture pool@local"
        assert record.evidence.reproduce is not None
        program = f"/{case_id.partition('/')[2].partition('@')[0]}.py "
        assert program in record.evidence.reproduce, "without the folder, which may contain the user's name"
        assert "_guest" not in record.evidence.reproduce, "by hand it must start what it needs by itself"
    assert "fixture" not in result.only("python/alone@local").extras


def test_a_wrong_answer_fails_only_its_own_case(shared: Shared) -> None:
    shared.case("right", judge="assert outcome.answer['params'] == {}")
    wrong = shared.case("wrong", judge="assert outcome.answer['params'] == {'no': 1}")
    shared.case("after")
    result = shared.bench.run()
    assert outcomes(result) == {"right": ("pass", 1), "wrong": ("fail", 2), "after": ("pass", 1)}
    last = result.records(wrong)[-1]
    assert last.verdict.cause is not None
    assert last.verdict.cause.rule == "assertion"
    assert "fixture" not in last.extras, "the attempt that counts was not in the fixture"


def test_a_single_case_starts_what_it_needs_by_itself(shared: Shared) -> None:
    one = shared.case("one")
    shared.case("two")
    result = shared.bench.run("--case", one)
    assert outcomes(result) == {"one": ("pass", 1)}
    assert shared.starts == []
    assert result.only(one).evidence.reproduce is not None


def test_a_fixture_that_does_not_start_is_the_one_cause_of_its_cases(shared: Shared) -> None:
    shared.program("raise RuntimeError('no pool today')")
    names = [shared.case(name) for name in ("one", "two", "three")]
    shared.case("alone", fixture=None)
    result = shared.bench.run()
    assert result.code == 1
    assert outcomes(result) == {**dict.fromkeys(("one", "two", "three"), ("fail", 1)), "alone": ("pass", 1)}
    assert len(shared.starts) == 1
    (cause,) = root_causes(result.run.records())
    assert {record.case_id for record in cause.records} == set(names)
    assert cause.key.startswith("fixture-does-not-start:")
    assert "fixture pool@local did not start" in cause.title
    assert "no pool today" in cause.title
    for record in cause.records:
        assert record.diagnosis.blocked_by == cause.key
        assert record.verdict.cause.rule == "fixture-does-not-start"
    assert running(f"{shared.daemon}$") == []


def test_a_fixture_whose_failure_is_known_has_the_key_of_that_cause(shared: Shared) -> None:
    shared.program("raise OSError(28, 'No space left on device')")
    shared.case("one")
    shared.case("two")
    result = shared.bench.run()
    (cause,) = root_causes(result.run.records())
    assert len(cause.records) == 2
    assert not cause.key.startswith("fixture-does-not-start")
    assert "the fixture pool@local did not start" in cause.title
    assert {record.verdict.outcome.value for record in cause.records} == {"infra"}


def test_a_fixture_that_is_not_ready_in_time_is_ended_and_is_the_one_cause(shared: Shared) -> None:
    shared.fixture = Fixture("pool", payload=shared.fixture.payload, start=1, walltime=300)
    shared.program("time.sleep(1000)")
    shared.case("one")
    shared.case("two")
    result = shared.bench.run()
    assert {outcome for outcome, _ in outcomes(result).values()} == {"fail"}
    (cause,) = root_causes(record for record in result.run.records() if record.retries.final)
    assert len(cause.records) == 2
    assert "did not start" in cause.title
    assert running(f"{shared.daemon}$") == []


@pytest.mark.parametrize(
    "body",
    ["os._exit(1)", "os.kill(os.getpid(), 9)", "raise ArithmeticError('mine')", "sys.exit('mine')"],
    ids=["exits", "killed", "raises", "ends"],
)
def test_a_case_that_breaks_its_fixture_is_repeated_alone_and_the_next_ones_get_a_new_one(
    shared: Shared, body: str
) -> None:
    shared.case("before")
    bad = shared.case("bad", body)
    shared.case("after")
    shared.case("last")
    result = shared.bench.run()
    assert outcomes(result) == {"before": ("pass", 1), "bad": ("fail", 2), "after": ("pass", 1), "last": ("pass", 1)}
    assert len(shared.starts) == 2
    first, second = result.records(bad)
    assert (first.extras["fixture"], "fixture" in second.extras) == ("fixture pool@local", False)
    assert "ended while this payload ran" in str(first.evidence) or "mine" in str(first.evidence)


def test_a_case_that_fails_only_because_it_shares_passes_alone(shared: Shared) -> None:
    shared.case("before")
    odd = shared.case("odd", f"if {shared.in_fixture()}: raise SystemExit('not beside others')")
    result = shared.bench.run()
    assert outcomes(result) == {"before": ("pass", 1), "odd": ("pass", 2)}
    assert [record.retries.final for record in result.records(odd)] == [False, True]


def test_a_case_that_hangs_has_its_own_time_limit_and_says_where_it_waited(shared: Shared) -> None:
    shared.case("before", walltime=5)  # equal limits, so that they start in this order
    hangs = shared.case("hangs", f"import time\nif {shared.in_fixture()}: time.sleep(600)", walltime=5)
    shared.case("after", walltime=5)
    result = shared.bench.run()
    assert outcomes(result) == {"before": ("pass", 1), "hangs": ("pass", 2), "after": ("pass", 1)}
    first, _ = result.records(hangs)
    assert first.verdict.cause is not None
    assert first.verdict.cause.rule == "time-limit"
    assert "hangs.py, line" in first.verdict.cause.evidence
    assert len(shared.starts) == 2
    assert running(f"{shared.daemon}$") == []


def test_cases_are_not_blamed_for_a_fixture_that_dies_between_them(shared: Shared) -> None:
    served = shared.folder / "served"
    shared.program("threading.Thread(target=die, daemon=True).start()", DIES.replace("SERVED", repr(str(served))))
    shared.case("before", f"open({str(served)!r}, 'w')")
    shared.case("after")
    shared.case("last")
    result = shared.bench.run()
    assert {outcome for outcome, _ in outcomes(result).values()} == {"pass"}
    assert len(shared.starts) == 2


def test_a_killed_run_leaves_no_fixture_and_its_remaining_cases_share_a_new_one_when_resumed(shared: Shared) -> None:
    wait = f"import time\nwhile not os.path.exists({str(shared.folder / 'go')!r}): time.sleep(0.05)"
    shared.case("before")
    shared.case("waits", f"open({str(shared.folder / 'waiting')!r}, 'w')\n{wait}")
    shared.case("last")
    process = shared.bench.start()
    wait_until(lambda: (shared.folder / "waiting").exists())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not running(f"{shared.daemon}$") and not Path(f"/proc/{shared.starts[0]}").exists())
    (shared.folder / "go").touch()
    result = shared.bench.run("--resume", "last")
    assert result.code == 0, result.output
    assert outcomes(result) == dict.fromkeys(("before", "waits", "last"), ("pass", 1))
    assert len(shared.starts) == 2
    assert len(result.records("python/before@local")) == 1
