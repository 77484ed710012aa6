"""How the programs that write JUnit XML differ, as one table: a row for each dialect.

JUnit XML has no binding standard. Its elements ``<error>``, ``<failure>`` and ``<skipped>`` mean the same everywhere.
The attributes and the other elements of a test case do not. ``GENERAL`` states what is accepted from every program, and
each row of ``DIALECTS`` what one program writes differently. A word that is in neither is never a pass: it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from dashboard_client.schema import Outcome

PASS, FAIL, ERROR, SKIP, XFAIL = Outcome.PASS, Outcome.FAIL, Outcome.ERROR, Outcome.SKIP, Outcome.XFAIL

Words = Mapping[str, Outcome]

_RESULTS: Words = {
    **dict.fromkeys(
        ("pass", "passed", "ok", "run", "success", "successful", "succeeded", "complete", "completed"), PASS
    ),
    **dict.fromkeys(("fail", "failed", "failure"), FAIL),
    **dict.fromkeys(("error", "errored", "timeout", "aborted", "crashed", "cancelled", "canceled"), ERROR),
    **dict.fromkeys(
        ("skip", "skipped", "disabled", "notrun", "not run", "ignored", "pending", "todo", "suppressed"), SKIP
    ),
}
_PAVILION: Words = {"pass": PASS, "fail": FAIL, "error": ERROR}
_BUILDTEST: Words = {"pass": PASS, "fail": FAIL}
_E4S: Words = {"pass": PASS, "success": PASS, "fail": FAIL, "missing": SKIP, "skipped": SKIP, "spacktest": SKIP}
_YES: Words = {"true": PASS, "1": PASS, "false": FAIL, "0": FAIL}
_ABSENT: Words = {"true": SKIP, "1": SKIP, "false": PASS, "0": PASS}


@dataclass(frozen=True)
class Mark:
    """What identifies a dialect: an element with an attribute whose whole value matches; its namespace is ignored."""

    element: str
    attribute: str
    value: str

    def matches(self, root: Element) -> bool:
        """Return whether the file has this mark."""
        for element in root.iter(self.element):
            for name, value in element.items():
                local = name.rpartition("}")[2]
                if local == self.attribute and re.fullmatch(self.value, value, re.DOTALL) is not None:
                    return True
        return False


@dataclass(frozen=True)
class Dialect:
    """What one program writes.

    Attributes:
        name: The name of the program.
        basis: What the row was checked against.
        marks: A file is of this dialect if one of its elements has any of these marks.
        attributes: The meaning of the words in an attribute of ``<testcase>``, in lower case. Other attributes are as
            in ``GENERAL``.
        elements: The meaning of a child of ``<testcase>``; other elements are as in ``GENERAL``.
        real_skips: The messages of ``<skipped>`` that are skips; with another one, the test could not be started, which
            is an error. None: every one is a skip.
        flaky: Children of ``<testcase>`` for a failed run of a test that passed when the program ran it again.
        reruns: Children of ``<testcase>`` for one more failed run of a test that failed.
        unrun: What marks a test that did not run although nothing else says so: an attribute and its value.
        uncounted: Test cases that the program leaves out of its totals, because they stand for a failure outside of
            tests, which is an error: an attribute and its value.
        disabled_names: A test that ran may count as disabled if its class or name matches.
        merged: Test cases of one name can be one test in the totals.
        teardown: The start of the message of an ``<error>`` that follows another result of the same test. Some releases
            count such a test twice, and a test that failed before, which has two test cases, once.
        loose_root_errors: ``errors`` of the root also counts what has no test case, such as a package that cannot be
            built. A surplus is an error finding of its own.
        utc: An instant without a time zone is in UTC; else in the zone of the machine that wrote the file.
        suites: The name of a suite is part of the name of its test cases, because nothing else distinguishes them.
        file_class: ``classname`` is the path of a file.
        hint: What to do if the totals differ.
    """

    name: str
    basis: str
    marks: tuple[Mark, ...] = ()
    attributes: Mapping[str, Words] = field(default_factory=dict)
    elements: Words = field(default_factory=dict)
    real_skips: str | None = None
    flaky: Words = field(default_factory=dict)
    reruns: Words = field(default_factory=dict)
    unrun: tuple[str, str] | None = None
    uncounted: tuple[tuple[str, str], ...] = ()
    disabled_names: str | None = None
    merged: bool = False
    teardown: str | None = None
    loose_root_errors: bool = False
    utc: bool = False
    suites: bool = False
    file_class: bool = False
    hint: str = ""

    @property
    def further_runs(self) -> Words:
        """The children of ``<testcase>`` for runs other than the one that counts."""
        return {**self.flaky, **self.reruns}

    def leaves_out(self, case: Element) -> bool:
        """Return whether a test case is not counted, because it stands for a failure outside of tests."""
        return any(case.get(attribute) == value for attribute, value in self.uncounted)


GENERAL = Dialect(
    name="JUnit",
    basis="the common subset of all dialects below",
    attributes={
        **dict.fromkeys(("status", "result", "outcome", "state"), _RESULTS),
        **dict.fromkeys(("success", "passed"), _YES),
        "executed": {"true": PASS, "1": PASS, "false": SKIP, "0": SKIP},
        **dict.fromkeys(("disabled", "skipped", "ignored", "todo"), _ABSENT),
    },
    elements={
        **{"error": ERROR, "failure": FAIL, "skipped": SKIP, "disabled": SKIP, "ignored": SKIP},
        **{"rerunFailure": FAIL, "rerunError": ERROR, "flakyFailure": FAIL, "flakyError": ERROR},
        **dict.fromkeys(("properties", "property", "system-out", "system-err"), PASS),
    },
    suites=True,
)

DIALECTS = (
    Dialect(
        name="ReFrame",
        basis="ReFrame 4.10: reframe/frontend/reporting; a run of it",
        marks=(Mark("testsuite", "package", "reframe"),),
        unrun=("time", "0"),  # a test whose dependency failed; ReFrame does not mark it
        file_class=True,
    ),
    Dialect(
        name="GoogleTest",
        basis="GoogleTest 1.12: a run of it",
        marks=(
            Mark("testcase", "result", "completed|skipped|suppressed"),
            Mark("testsuites", "name", "AllTests"),
        ),
        attributes={
            "status": {"run": PASS, "notrun": SKIP},
            "result": {"completed": PASS, "skipped": SKIP, "suppressed": SKIP},
        },
        suites=True,
        disabled_names=r"(.*/)?DISABLED_.*",  # with --gtest_also_run_disabled_tests
        uncounted=(("name", ""),),  # a failure outside of tests, in <testsuite name="NonTestSuiteFailure">
    ),
    Dialect(
        name="Maven Surefire",
        basis="Surefire 2.22: a run of it; surefire-test-report.xsd 3.0.2 and StatelessXmlReporter.java",
        marks=(Mark("testsuite", "noNamespaceSchemaLocation", ".*surefire.*"),),
        flaky={"flakyFailure": FAIL, "flakyError": ERROR},
        reruns={"rerunFailure": FAIL, "rerunError": ERROR},
        merged=True,
    ),
    Dialect(
        name="Jest",
        basis="Jest 30 with jest-junit 17: a run of it",
        marks=(Mark("testsuites", "name", "jest tests"), Mark("testcase", "classname", "Test suite failed to run")),
        uncounted=(("classname", "Test suite failed to run"),),
        utc=True,
        hint=" Jest writes a test.todo like a pass, but does not count it: remove it, or make it test.skip.",
    ),
    Dialect(
        name="gotestsum",
        basis="gotestsum 1.8 with Go 1.19: a run of it; internal/junitxml/report.go",
        marks=(Mark("property", "name", "go\\.version"),),
        uncounted=(("name", "TestMain"),),
        loose_root_errors=True,
    ),
    Dialect(
        name="Spack",
        basis="Spack 1.3: share/spack/templates/reports/junit.xml; runs of `spack install` and `spack test run`",
        marks=(Mark("testcase", "name", "[a-z2-7]{32}"),),
        utc=True,
    ),
    Dialect(
        name="Pavilion",
        basis="Pavilion 2 writes no JUnit XML: its result words, as in files that sites convert",
        marks=(Mark("testcase", "classname", "pavilion"), Mark("testsuites", "name", "pav .*")),
        attributes=dict.fromkeys(("status", "result"), _PAVILION),
    ),
    Dialect(
        name="buildtest",
        basis="buildtest 2.0 writes no JUnit XML: its result words, as in files that sites convert",
        marks=(Mark("testcase", "classname", "buildtest(\\..*)?"), Mark("testsuites", "name", "buildtest( .*)?")),
        attributes=dict.fromkeys(("state", "status", "result"), _BUILDTEST),
    ),
    Dialect(
        name="E4S testsuite",
        basis="test-all.py writes no JUnit XML: its result words, as in files that sites convert",
        marks=(Mark("testcase", "classname", "(?i)e4s(\\..*)?"), Mark("testsuites", "name", "(?i)e4s( .*)?")),
        attributes=dict.fromkeys(("status", "result"), _E4S),
    ),
    Dialect(
        name="CTest",
        basis="CTest 3.25 --output-junit: a run of it",
        marks=(Mark("testcase", "status", "run|fail|disabled|notrun"),),
        attributes={"status": {"run": PASS, "fail": FAIL, "disabled": SKIP, "notrun": SKIP}},
        real_skips=r"SKIP_.*|",
    ),
    Dialect(
        name="pytest",
        basis="pytest 8 and 9: _pytest/junitxml.py; runs of it",
        marks=(Mark("testsuites", "name", "pytest tests"), Mark("testsuite", "name", "pytest")),
        teardown="failed on teardown",
        hint=" pytest counts subtests that passed, but does not write them: such a file cannot be checked.",
    ),
)


def dialect_of(root: Element) -> Dialect:
    """Return the first dialect of the table that the file has a mark of, or ``GENERAL``."""
    for dialect in DIALECTS:
        if any(mark.matches(root) for mark in dialect.marks):
            return dialect
    return GENERAL


def result_of(dialect: Dialect, attribute: str, value: str) -> Outcome | None:
    """Return what an attribute of ``<testcase>`` states as the result; ``ERROR`` if its value is not known.

    Return None if the attribute is none that states a result.
    """
    words = dialect.attributes.get(attribute) or GENERAL.attributes.get(attribute)
    return None if words is None else words.get(value.strip().casefold(), ERROR)


def is_known(dialect: Dialect, attribute: str, value: str) -> bool:
    """Return whether the table has the value of an attribute that states a result."""
    words = dialect.attributes.get(attribute) or GENERAL.attributes.get(attribute) or {}
    return value.strip().casefold() in words
