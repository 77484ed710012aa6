"""Every case: its answer is broken, and the evidence names what was expected and what came."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import sdk_tests.integration
from dashboard_client.schema import Outcome as Verdict
from sdk_tests import Case, Outcome
from sdk_tests.diagnosis import completed
from sdk_tests.judging.comparison import Compared, Comparison, comparison, with_values
from sdk_tests.judging.judge import verdict
from sdk_tests.model.attempt import Judgement
from tests.sdk_tests.integration import test_flux_judges, test_integration, test_radical_judges

Judge = Callable[[Outcome], None]

JUDGES: list[Judge] = [
    value
    for module in pkgutil.iter_modules(sdk_tests.integration.__path__, "sdk_tests.integration.")
    for value in vars(import_module(module.name)).values()
    if callable(value) and hasattr(value, "exaworks_cases") and value.__module__ == module.name
]
KNOWN = [
    (judge, answer, change)
    for tables in (test_integration, test_radical_judges, test_flux_judges)
    for judge, answer, changes in tables.EXAMPLES
    for change in changes
]


class Wrong:
    """A value that a test function can index, iterate, call and count, and that equals nothing."""

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, _: object) -> Wrong:
        return Wrong()

    def __getattr__(self, name: str) -> Wrong:
        if name.startswith("__"):
            raise AttributeError(name)
        return Wrong()

    def __call__(self, *_: object, **__: object) -> Wrong:
        return Wrong()

    def __iter__(self) -> Iterator[Wrong]:
        return iter([Wrong()])

    def __len__(self) -> int:
        return 1

    def __eq__(self, _: object) -> bool:
        return False

    def __lt__(self, _: object) -> bool:
        return False

    __le__ = __gt__ = __ge__ = __lt__

    def __contains__(self, _: object) -> bool:
        return False

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<wrong {id(self)}>"


class Compare:
    """Keeps what pytest compared last, as the harness does."""

    def __init__(self) -> None:
        self.last: Compared | None = None

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> None:
        self.last = Compared(op, left, right)


@pytest.fixture
def judged(request: pytest.FixtureRequest) -> Iterator[Callable[[Callable[[], None]], tuple[Judgement, Comparison]]]:
    """Return a function that runs a test function and returns the verdict and what was compared."""
    compare = Compare()
    request.config.pluginmanager.register(compare)

    def run(call: Callable[[], None]) -> tuple[Judgement, Comparison]:
        info = pytest.CallInfo.from_call(call, "call")
        assert info.excinfo is not None, "the test function accepted a wrong answer"
        report = pytest.TestReport.from_item_and_call(request.node, info)
        found = verdict({"call": report}, {"call": info.excinfo.type}, None)
        assert found is not None
        compared = comparison(info.excinfo, compare.last)
        return with_values(found, compared), compared

    yield run
    request.config.pluginmanager.unregister(compare)


def outcome(judge: Judge, answer: Any) -> Outcome:
    case: Case = judge.exaworks_cases[0]  # type: ignore[attr-defined]
    return Outcome(case, case.case_id("slurm"), "slurm", answer, 0, nodes=("n1", "n2"), params=dict(case.params))


def says_something(found: Judgement, compared: Comparison) -> None:
    evidence = found.cause.evidence
    if found.outcome is Verdict.SKIP:
        return  # the case itself takes this answer for a reason to skip
    assert found.outcome in (Verdict.FAIL, Verdict.ERROR)
    assert evidence.removeprefix("call of the case's test function: ").removeprefix("AssertionError").strip(": "), (
        evidence
    )
    assert not evidence.rstrip().endswith("AssertionError:"), evidence
    assert compared.condition
    assert compared.expected
    assert compared.got
    assert compared.expected != compared.got


def names(judge: Judge) -> str:
    return judge.__name__


@pytest.mark.parametrize(
    ("judge", "answer", "change"), KNOWN, ids=[f"{names(j)}-{n}" for n, (j, _, _) in enumerate(KNOWN)]
)
def test_a_broken_answer_leaves_evidence_with_both_values(judge: Judge, answer: Any, change: Any, judged: Any) -> None:
    import copy

    given = outcome(judge, copy.deepcopy(answer))
    change(given.answer)
    says_something(*judged(lambda: judge(given)))


@pytest.mark.parametrize("judge", JUDGES, ids=names)
@pytest.mark.parametrize("answer", [{}, Wrong()], ids=["empty", "wrong"])
def test_every_case_with_an_empty_or_a_wrong_answer_leaves_evidence(judge: Judge, answer: Any, judged: Any) -> None:
    if not any(case.answer for case in judge.exaworks_cases):  # type: ignore[attr-defined]
        return  # only the exit code of such a payload is judged
    says_something(*judged(lambda: judge(outcome(judge, answer))))


def test_there_are_judges_of_every_component() -> None:
    components = {case.component for judge in JUDGES for case in judge.exaworks_cases}  # type: ignore[attr-defined]
    assert components >= {"psij", "parsl", "radical.pilot", "radical.entk", "flux", "swift-t", "maestro", "control"}
    assert components >= {"colmena", "dask", "libensemble"}


TASK = {"state": "FAILED", "exit_code": None, "stderr": ""}


def _equal(answer: dict[str, Any]) -> None:
    assert (answer["state"], answer["exit_code"]) == ("DONE", 0), answer["stderr"]


def _contained(answer: dict[str, Any]) -> None:
    assert answer["state"] in ("DONE", "CANCELED")


def _less(answer: dict[str, Any]) -> None:
    assert len(answer) <= 2


def _negated(answer: dict[str, Any]) -> None:
    assert not answer["state"], "a message"


def _unpacked(answer: dict[str, Any]) -> None:
    (one,) = answer
    assert one


def _long(answer: dict[str, Any]) -> None:
    assert answer["state"] == "x" * 100_000


@pytest.mark.parametrize(
    ("judge", "expected", "got"),
    [
        (_equal, "('DONE', 0)", "('FAILED', None)"),
        (_contained, "in ('DONE', 'CANCELED')", "'FAILED'"),
        (_less, "<= 2", "3"),
        (_negated, "not answer['state']", "a message assert not 'FAILED'"),
        (_unpacked, "no error in: (one,) = answer", "ValueError: too many values to unpack (expected 1)"),
    ],
)
def test_expected_and_got_are_the_two_sides_of_what_was_compared(
    judge: Callable[[dict[str, Any]], None], expected: str, got: str, judged: Any
) -> None:
    _, compared = judged(lambda: judge(TASK))
    assert (compared.expected, compared.got) == (expected, got)


def test_long_values_are_cut(judged: Any) -> None:
    _, compared = judged(lambda: _long(TASK))
    assert len(compared.expected) <= 2000
    assert len(compared.got) <= 2000


def test_in_a_module_whose_assertions_pytest_does_not_rewrite_the_values_of_the_names_are_kept(
    judged: Any, tmp_path: Path
) -> None:
    helper = tmp_path / "own_helper.py"
    helper.write_text("def judge(state, wanted):\n    assert state == wanted\n")
    values: dict[str, Any] = {}
    exec(compile(helper.read_text(), str(helper), "exec"), values)
    found, compared = judged(lambda: values["judge"]("FAILED", "DONE"))
    assert compared.got == "state = 'FAILED'; wanted = 'DONE'"
    assert found.cause.evidence == ("AssertionError: expected state == wanted, got state = 'FAILED'; wanted = 'DONE'")
    assert completed(found).diagnosis is not None


def test_a_value_without_a_repr_costs_no_verdict(judged: Any) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    def judge() -> None:
        value = Broken()
        assert value == 1

    _, compared = judged(judge)
    assert "Broken" in compared.got
