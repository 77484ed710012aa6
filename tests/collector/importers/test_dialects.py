"""Every dialect of JUnit XML is read as its program means it, and nothing that did not pass becomes a pass."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import Problem
from collector.importers.common import instant, read_zone
from collector.importers.dialects import DIALECTS, GENERAL
from collector.importers.junit import Report, read_junit
from dashboard_client.schema import Outcome

GOLDEN = Path(__file__).parent / "golden"

SPACK = {
    **dict.fromkeys(("compiler-wrapper", "gcc-runtime", "py-packaging", "py-psij-python"), "pass"),
    **dict.fromkeys(("py-psutil", "py-pystache", "py-typeguard", "py-typing-extensions", "python-venv"), "pass"),
    **dict.fromkeys(("gcc", "git", "glibc", "gmake", "py-flit-core", "py-pip", "py-setuptools"), "skip"),
    **dict.fromkeys(("py-setuptools-scm", "py-wheel", "python"), "skip"),
    "libsigsegv": "fail",
}
PYTEST = {
    "test_broken": "error",
    "test_ring.test_passes": "pass",
    "test_ring.test_fails": "fail",
    "test_ring.test_is_skipped": "skip",
    "test_ring.test_fails_as_expected": "xfail",
    "test_ring.test_passes_unexpectedly": "pass",
    "test_ring.test_passes_unexpectedly_and_strictly": "fail",
    "test_ring.test_whose_setup_fails": "error",
    "test_ring.test_whose_teardown_fails": "error",
    "test_ring.test_that_fails_twice": "error fail",
    "test_ring.test_that_skips_and_fails": "error",
    "test_ring.test_sizes-1": "pass",
    "test_ring.test_sizes-2": "fail",
}
PSIJ_EXECUTORS = ("local:single", "batch-test:single", "batch-test:multiple", "batch-test:batch-test")
PSIJ_SCRIPTS = ("nqsv", "batch-test", "lsf", "cobalt", "pbs", "slurm", "pbs_classic")
PSIJ_TESTS = (
    *("test_simple_job", "test_simple_job_redirect", "test_stderr_redirect", "test_attach", "test_attach2"),
    *("test_cancel", "test_failing_job", "test_missing_executable", "test_parallel_jobs", "test_env_var"),
    *("test_stdin_redirect", "test_list"),
)
EXPECTED: dict[str, tuple[str, str | None, dict[str, str]]] = {
    "pytest.xml": (
        "pytest",
        "2026-11-22T14:01:36.924Z",
        {
            "tests.test_zz_shapes.test_that_fails": "fail",
            "tests.test_zz_shapes.test_that_is_skipped": "skip",
            "tests.test_zz_shapes.test_whose_setup_fails": "error",
        },
    ),
    "pytest_8.xml": ("pytest", "2026-11-29T03:15:05.024Z", PYTEST),
    "pytest_outcomes.xml": ("pytest", "2026-11-29T03:13:06.884Z", PYTEST),
    "ctest.xml": (
        "CTest",
        "2026-11-29T03:00:48.000Z",
        {
            "ring": "pass",
            "reduce": "fail",
            "slow": "fail",
            "off": "skip",
            "no-gpu": "skip",
            "no-mpi": "skip",
            "not-built": "error",
            "crash": "fail",
            "expected": "pass",
            "needs-file": "error",
            "setup": "fail",
            "with-db": "error",
        },
    ),
    "googletest.xml": (
        "GoogleTest",
        "2026-11-29T03:00:47.678Z",
        {
            "Ring.Passes": "pass",
            "Ring.Fails": "fail",
            "Ring.IsSkipped": "skip",
            "Ring.DISABLED_Reduce": "skip",
            "Suite.One": "pass",
            "Sizes-Par.Even-0": "pass",
            "Sizes-Par.Even-1": "fail",
            "NonTestSuiteFailure": "error",
        },
    ),
    "googletest_disabled.xml": (
        "GoogleTest",
        "2026-11-29T03:00:47.703Z",
        {
            "Ring.Passes": "pass",
            "Ring.Fails": "fail",
            "Ring.IsSkipped": "skip",
            "Ring.DISABLED_Reduce": "fail",
            "Suite.One": "pass",
            "Sizes-Par.Even-0": "pass",
            "Sizes-Par.Even-1": "fail",
        },
    ),
    "surefire.xml": (
        "Maven Surefire",
        "2026-11-22T14:01:43.250Z",
        {
            "org.example.RingTest.passes": "pass",
            "org.example.RingTest.fails": "fail fail",
            "org.example.RingTest.passesTheSecondTime": "fail pass",
            "org.example.RingTest.isDisabled": "skip",
            "org.example.RingTest.throwsException": "error",
            "org.example.RingTest": "error",
        },
    ),
    "surefire_2.xml": (
        "Maven Surefire",
        None,
        {
            "org.example.RingTest.passesTheSecondTime": "fail pass",
            "org.example.RingTest.passes": "pass",
            "org.example.RingTest.throwsException": "error error",
            "org.example.RingTest.isDisabled": "skip",
            "org.example.RingTest.fails": "fail fail",
            "org.example.RingTest.isAssumedAway": "skip",
        },
    ),
    "surefire_2_broken.xml": ("Maven Surefire", None, {"org.example.BrokenTest": "error"}),
    "pytest_psij.xml": (
        "pytest",
        "2026-11-29T06:55:07.853Z",
        {
            **{f"tests.test_executor.{name}-{kind}": "pass" for name in PSIJ_TESTS for kind in PSIJ_EXECUTORS},
            **{f"tests.test_executor.test_submit_script_generation-{name}": "pass" for name in PSIJ_SCRIPTS},
            "tests.test_executor.test_resource_generation1": "pass",
            "tests.test_callbacks.TestCallbacks.test_job_callbacks": "pass",
            "tests.test_callbacks.TestCallbacks.test_job_executor_callbacks": "pass",
        },
    ),
    "jest.xml": (
        "Jest",
        "2026-11-29T03:12:59.000Z",
        {
            "ring-passes": "pass",
            "ring-fails": "fail",
            "ring-is-skipped": "skip",
            "ring-inner-passes": "pass",
            "top-level": "pass",
            "Test-suite-failed-to-run.__tests__-broken.test.js": "error error",
        },
    ),
    "gotestsum.xml": (
        "gotestsum",
        "2026-11-29T06:51:56.000Z",
        {
            "example.org-halo-broken.TestMain": "error",
            "example.org-halo-panics.TestPanics": "fail",
            "example.org-halo-panics.TestBefore": "pass",
            "example.org-halo-ring.TestFails": "fail",
            "example.org-halo-ring.TestSizes-two": "fail",
            "example.org-halo-ring.TestSizes": "fail",
            "example.org-halo-ring.TestSizes-three": "skip",
            "example.org-halo-ring.TestNoNetwork": "skip",
            "example.org-halo-ring.TestPasses": "pass",
            "example.org-halo-ring.TestSizes-one": "pass",
            "report:suite": "error",
        },
    ),
    "reframe.xml": (
        "ReFrame",
        "2026-11-22T20:01:43.000Z",
        {
            "hello.HelloTest:word=Hello:generic:default+builtin": "pass",
            "hello.HelloTest:word=Bye:generic:default+builtin": "fail",
        },
    ),
    "reframe_skips.xml": (
        "ReFrame",
        "2026-11-29T09:02:57.000Z",
        {
            "ring.Ring:generic:default+builtin": "pass",
            "ring.Reduce:size=1:generic:default+builtin": "fail",
            "ring.Reduce:size=2:generic:default+builtin": "fail",
            "ring.Dependent:generic:default+builtin": "skip",
            # ReFrame 4.10 writes a test that was skipped after its set-up exactly like a test that passed.
            "ring.NoGpu:generic:default+builtin": "pass",
            "ring.Late:generic:default+builtin": "pass",
        },
    ),
    "spack_install.xml": (
        "Spack",
        "2026-11-22T22:34:19.000Z",
        {f"build:package={name}": outcome for name, outcome in SPACK.items()},
    ),
    "spack_test.xml": (
        "Spack",
        "2026-11-22T22:34:24.000Z",
        {
            "test:package=py-psij-python": "fail",
            "test:package=py-ply": "pass",
            "test:package=python-venv": "skip",
        },
    ),
    "pavilion.xml": (
        "Pavilion",
        "2026-11-22T19:00:00.000Z",
        {
            "pavilion.supermagic.base": "pass fail",
            "pavilion.imb.run": "error",
            "pavilion.hpl.small": "pass",
            "pavilion.hpl.large": "error",
        },
    ),
    "buildtest.xml": (
        "buildtest",
        "2026-11-22T20:01:43.000Z",
        {"buildtest.hello": "pass", "buildtest.stream": "fail", "buildtest.gpu": "error"},
    ),
    "e4s.xml": (
        "E4S testsuite",
        "2026-11-22T14:01:43.000Z",
        {"e4s.adios2": "pass", "e4s.hdf5": "fail", "e4s.tau-cuda": "skip", "e4s.upcxx": "skip"},
    ),
}
SIX_HOURS_BEHIND = {"ctest.xml", "googletest.xml", "googletest_disabled.xml"}
"""Further files with instants that have no zone."""


def junit(text: str | bytes) -> Report:
    return read_junit(text.encode() if isinstance(text, str) else text, None, "local")


def outcomes(report: Report) -> dict[str, str]:
    """Return the outcomes of the attempts of each case, in their order, by the case's name without its checksum."""
    cases: dict[str, list[str]] = {}
    for finding in report.findings:
        name = finding.case_id.removeprefix("imported/").removesuffix("@local")
        cases.setdefault(re.sub(r"-[0-9a-f]{8}$", "", name), []).append(finding.outcome.value)
    return {name: " ".join(attempts) for name, attempts in cases.items()}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_golden_file_gives_exactly_these_outcomes(name: str) -> None:
    dialect, started, expected = EXPECTED[name]
    report = read_junit((GOLDEN / name).read_bytes(), None, "local", read_zone("-06:00"))
    assert report.dialect == dialect
    assert outcomes(report) == expected
    if name in SIX_HOURS_BEHIND:
        started = instant(started.removesuffix("Z"), read_zone("-06:00")) or ""
    assert report.started == started
    assert {finding.component for finding in report.findings} == {"imported"}


def test_every_dialect_of_the_table_has_a_golden_file_and_is_recognised() -> None:
    assert {dialect.name for dialect in DIALECTS} == {dialect for dialect, _, _ in EXPECTED.values()}
    assert sorted(path.name for path in GOLDEN.glob("*.xml")) == sorted([*EXPECTED, *REFUSED])


REFUSED = {
    "jest_todo.xml": "Suite 'ring' declares tests=5, but the file contains 6.*test.todo",
    "pytest_subtests.xml": "Suite 'pytest' declares tests=3, but the file contains 1.*subtests",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_golden_file_that_hides_results_is_refused_with_advice(name: str) -> None:
    with pytest.raises(Problem) as refused:
        junit((GOLDEN / name).read_bytes())
    assert re.match(REFUSED[name], refused.value.detail, re.DOTALL), refused.value.detail


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in REFUSED])
def test_a_changed_total_of_a_golden_file_is_refused_and_both_numbers_are_named(name: str) -> None:
    root = fromstring((GOLDEN / name).read_bytes())
    for suite in [each for each in root.iter() if each.tag in ("testsuite", "testsuites") and each.get("tests")]:
        declared = suite.get("tests") or ""
        suite.set("tests", str(int(declared) + 9))
        where = repr(suite.get("name")) if suite.get("name") else f"<{suite.tag}>"
        numbers = rf"{re.escape(where)} declares tests={int(declared) + 9}, but the file contains \d+( to \d+)?\."
        with pytest.raises(Problem, match=numbers):
            junit(tostring(root))
        suite.set("tests", declared)
    assert outcomes(junit(tostring(root))) == EXPECTED[name][2]


CASE = '<testsuites><testsuite name="S"{totals}>{cases}</testsuite></testsuites>'


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ('<testcase name="a" status="run"/>', "pass"),
        ('<testcase name="a" result="completed"/>', "pass"),
        ('<testcase name="a" status="PASSED"/>', "pass"),
        ('<testcase name="a" status="disabled"/>', "skip"),
        ('<testcase name="a" status="notrun"/>', "skip"),
        ('<testcase name="a" status="notrun" result="suppressed"/>', "skip"),
        ('<testcase name="a" status="run" result="skipped"/>', "skip"),
        ('<testcase name="a" result="completed" status="half"/>', "error"),
        ('<testcase name="a" result="completed"><failure/></testcase>', "fail"),
        ('<testcase name="a" status="failed"/>', "fail"),
        ('<testcase name="a" status="passed"><error message="no"/></testcase>', "error"),
        ('<testcase name="a" status="inconclusive"/>', "error"),
        ('<testcase name="a" status=""/>', "error"),
        ('<testcase name="a" outcome="blocked"/>', "error"),
        ('<testcase name="a" success="false"/>', "fail"),
        ('<testcase name="a" executed="false"/>', "skip"),
        ('<testcase name="a"><timeout/></testcase>', "error"),
        ('<testcase name="a"><Failure/></testcase>', "error"),
        ('<testcase name="a"><skipped/><failure/></testcase>', "fail"),
        ('<testcase name="a"><flakyFailure/></testcase>', "fail"),
        ('<testcase name="a"><system-out>FAILED</system-out></testcase>', "pass"),
    ],
)
def test_only_a_known_word_is_a_pass(case: str, outcome: str) -> None:
    (finding,) = junit(CASE.format(totals="", cases=case)).findings
    assert finding.outcome.value == outcome
    assert finding.evidence or outcome == "pass"


def test_the_evidence_of_a_word_that_is_not_known_names_it() -> None:
    cases = '<testcase name="a" status="half"><system-out>fine</system-out></testcase>'
    (finding,) = junit(CASE.format(totals="", cases=cases)).findings
    assert finding.evidence == f'status="half" is not a known result of {GENERAL.name}'


def test_the_result_of_a_suite_itself_is_an_outcome_of_its_own() -> None:
    cases = '<error message="could not start"/><testcase classname="a" name="x"/>'
    report = junit(CASE.format(totals=' tests="1" errors="1"', cases=cases))
    assert outcomes(report) == {"S:suite": "error", "S.a.x": "pass"}
    assert report.findings[0].evidence == "could not start"
    assert outcomes(junit(CASE.format(totals="", cases="<failure>broke</failure>"))) == {"S:suite": "fail"}
    stated = '<testsuite name="S" result="Failure"><testcase name="x"/></testsuite>'
    assert outcomes(junit(stated)) == {"S.x": "pass", "S:suite": "fail"}


def test_a_suite_that_declares_more_than_it_contains_is_refused_with_both_numbers() -> None:
    with pytest.raises(Problem) as refused:
        junit('<testsuites><testsuite name="empty" tests="5" errors="5"/></testsuites>')
    assert refused.value.status == 422
    assert refused.value.detail.startswith("Suite 'empty' declares tests=5, but the file contains 0.")
    with pytest.raises(Problem, match="The root element <testsuites> declares failures=2, but the file contains 1"):
        junit('<testsuites failures="2"><testcase name="a"><failure/></testcase></testsuites>')
    with pytest.raises(Problem, match="declares tests='some', which is not a number"):
        junit('<testsuites tests="some"/>')


def test_cases_below_the_root_and_in_nested_suites_are_read() -> None:
    inner = '<testsuite name="in" tests="1"><testcase name="deep"><failure/></testcase></testsuite>'
    outer = f'<testsuite name="out" tests="{{tests}}"><testcase name="flat"/>{inner}</testsuite>'
    for tests in (1, 2):  # programs differ in whether a suite counts those in it
        report = junit(f'<testsuites tests="3"><testcase name="bare"/>{outer.format(tests=tests)}</testsuites>')
        assert outcomes(report) == {"bare": "pass", "out.flat": "pass", "out.in.deep": "fail"}
    with pytest.raises(Problem, match="Suite 'out' declares tests=3, but the file contains 2"):
        junit(f"<testsuites>{outer.format(tests=3)}</testsuites>")
    with pytest.raises(Problem, match="nested more than"):
        junit("<testsuite>" * 40 + "</testsuite>" * 40)


def test_an_element_of_a_suite_that_is_not_known_is_refused() -> None:
    with pytest.raises(Problem, match="Suite 'S' contains <test-case>"):
        junit(CASE.format(totals="", cases='<test-case name="a"/>'))


def test_a_test_that_fails_and_then_passes_counts_as_a_failure_with_both_attempts() -> None:
    failed, passed = (
        '<testcase name="a" time="1"><failure message="FIRST"/></testcase>',
        '<testcase name="a" time="2"/>',
    )
    for cases in (failed + passed, passed + failed):
        first, last = junit(CASE.format(totals="", cases=cases)).findings
        assert [(each.attempt, each.outcome) for each in (first, last)] == [(1, Outcome.PASS), (2, Outcome.FAIL)]
        assert (last.evidence, last.extras["flaky"]) == ("FIRST", True)
        assert "The file has 2 results of this test" in (last.output or "")


def test_a_test_that_its_program_ran_again_counts_as_the_program_says() -> None:
    report = junit((GOLDEN / "surefire.xml").read_bytes())
    first, second = [each for each in report.findings if "passesTheSecondTime" in each.case_id]
    assert [(each.attempt, each.outcome) for each in (first, second)] == [(1, Outcome.FAIL), (2, Outcome.PASS)]
    assert first.evidence == "no answer within 1 s"


def test_the_reason_why_ctest_did_not_run_a_test_decides_between_skip_and_error() -> None:
    findings = {each.case_id: each for each in junit((GOLDEN / "ctest.xml").read_bytes()).findings}
    evidence = {name: findings[f"imported/{name}@local"].evidence for name in ("off", "no-gpu", "not-built", "reduce")}
    assert evidence == {
        "off": "Disabled",
        "no-gpu": "SKIP_RETURN_CODE=77",
        "not-built": "Unable to find executable",
        "reduce": "wrong sum",
    }


def test_durations_that_are_no_durations_are_dropped() -> None:
    for text, seconds in (("1,024.5", 1024.5), ("-1", None), ("1e308", None), ("NaN", None), ("inf", None), ("", None)):
        (finding,) = junit(CASE.format(totals="", cases=f'<testcase name="a" time="{text}"/>')).findings
        assert finding.seconds == seconds


@dataclass(frozen=True)
class Shape:
    """How a test case states its result, which total counts it, and whether it is a pass."""

    attributes: tuple[tuple[str, str], ...]
    children: tuple[str, ...]
    total: str | None
    passes: bool


SHAPES = [
    Shape((), (), None, True),
    Shape((), ("system-out",), None, True),
    Shape((("status", "run"),), (), None, True),
    Shape((), ("failure",), "failures", False),
    Shape((("status", "fail"),), ("failure", "system-out"), "failures", False),
    Shape((("status", "passed"),), ("error",), "errors", False),
    Shape((), ("skipped",), "skipped", False),
    Shape((("status", "notrun"),), ("skipped",), "skipped", False),
]
FAMILIES = [
    [*SHAPES, Shape((("status", "disabled"),), (), "disabled", False)],
    [
        *SHAPES,
        Shape((("status", "run"), ("result", "completed")), (), None, True),
        Shape((("status", "run"), ("result", "skipped")), ("skipped",), "skipped", False),
        Shape((("status", "notrun"), ("result", "suppressed")), (), "disabled", False),
    ],
]


@st.composite
def reports(draw: st.DrawFn) -> tuple[Element, set[str], set[str]]:
    """Return a report with correct totals, and the names of the tests that passed and of those that did not."""
    root = Element("testsuites", draw(st.sampled_from([{}, {"name": "nightly"}])))
    shapes = draw(st.sampled_from(FAMILIES))
    passed, others, number = set(), set(), 0
    totals_of_root: Counter[str] = Counter()
    for suite_number in range(draw(st.integers(1, 3))):
        suite = SubElement(root, "testsuite", name=f"suite{suite_number}")
        totals: Counter[str] = Counter()
        for shape in draw(st.lists(st.sampled_from(shapes), max_size=6)):
            number += 1
            case = SubElement(suite, "testcase", dict(shape.attributes), classname="c", name=f"n{number}")
            for tag in shape.children:
                SubElement(case, tag, message=draw(st.sampled_from(["", "SKIP_REASON", "no"]))).text = draw(
                    st.sampled_from(["", "text"])
                )
            totals.update(["tests", *([shape.total] if shape.total else [])])
            (passed if shape.passes else others).add(f"n{number}")
        for total in ("tests", "failures", "errors", "skipped", "disabled"):
            suite.set(total, str(totals[total]))
        totals_of_root += totals
    for total in ("tests", "failures", "errors", "skipped", "disabled"):
        root.set(total, str(totals_of_root[total]))
    return root, passed, others


@given(reports(), st.randoms(use_true_random=False))
def test_a_known_non_pass_is_never_a_pass_and_a_wrong_total_is_refused(
    report: tuple[Element, set[str], set[str]], chance: random.Random
) -> None:
    root, passed, others = report
    by_name = {str(each.extras["junit"]["name"]): each.outcome for each in junit(tostring(root)).findings}  # type: ignore[index]
    assert {name for name, outcome in by_name.items() if outcome is Outcome.PASS} == passed
    assert {name for name, outcome in by_name.items() if outcome is not Outcome.PASS} == others
    element = chance.choice([root, *root])
    total = chance.choice(["tests", "failures", "errors", "skipped", "disabled"])
    declared = int(element.get(total) or "0")
    wrong = declared + chance.choice([-1, 1, 7])
    element.set(total, str(wrong))
    with pytest.raises(Problem) as refused:
        junit(tostring(root))
    assert f"{total}={wrong}, but the file contains {declared}" in refused.value.detail or wrong < 0


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=12))
def test_any_text_as_the_status_is_a_pass_only_if_the_table_has_it(text: str) -> None:
    root = Element("testsuite", name="s")
    SubElement(root, "testcase", name="a", status=text)
    (finding,) = junit(tostring(root)).findings
    known = {word for word, outcome in GENERAL.attributes["status"].items() if outcome is Outcome.PASS}
    assert (finding.outcome is Outcome.PASS) == (text.strip().casefold() in known)
