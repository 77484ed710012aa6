"""JUnit XML, as the programs in ``dialects`` write it.

A document type declaration is refused, because entities could expand without limit. So is a file whose declared totals
differ from what it contains, and one with an unknown element in a suite: something that did not pass could be missing.

The component of all tests is named by the importer; suite and class names become part of the case. The report of Spack
about a package becomes the case ``build:package=NAME`` or ``test:package=NAME`` (see ``spack``), so that the builds of
a package have one cell, also when its hash changes.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timezone, tzinfo
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from collector import limits
from collector.errors import Problem
from collector.importers.attempts import numbered
from collector.importers.common import IMPORTED, ImportedTest, instant, valid_case_name
from collector.importers.dialects import (
    ERROR,
    FAIL,
    GENERAL,
    PASS,
    SKIP,
    XFAIL,
    Dialect,
    dialect_of,
    is_known,
    result_of,
)
from collector.importers.spack import is_spack, read_package
from collector.importers.totals import Tally, check_totals, count_elements, declared_total
from dashboard_client.schema import Outcome, Phase

MAX_CASES = 5000

_PHASES = {ERROR: Phase.LAUNCH, SKIP: Phase.PLAN}
_SEVERITY = (ERROR, FAIL, XFAIL, SKIP, PASS)
_NEVER = "1971"
"""GoogleTest and Jest write the year 1970 for what did not run."""


class _NoDoctype(TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise Problem(422, "doctype", "The file has a document type declaration (DOCTYPE). Remove it.")


@dataclass(frozen=True)
class Report:
    """A parsed report: the result of each test, its dialect, and its start if the report contains one."""

    findings: list[ImportedTest]
    started: str | None
    dialect: str


@dataclass(frozen=True)
class _Result:
    """What an element or an attribute states: the outcome, and the line that supports it.

    ``precise``: false if the output of the test supports it better.
    """

    outcome: Outcome
    evidence: str
    precise: bool = True


@dataclass
class _Reading:
    """The state while one file is read."""

    dialect: Dialect
    component: str
    scheduler: str
    zone: tzinfo | None
    names: Counter[tuple[str | None, str | None]]
    occurrences: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    tests: list[ImportedTest] = field(default_factory=list)
    started: list[str] = field(default_factory=list)

    def add(self, test: ImportedTest) -> None:
        if len(self.tests) >= MAX_CASES:
            raise Problem(413, "too-many-records", f"The file has more than {MAX_CASES} test cases. Split it.")
        self.tests.append(test)

    def start_of(self, element: Element, otherwise: str | None) -> str | None:
        start = instant(element.get("timestamp"), self.zone)
        if start is None or start < _NEVER:
            return otherwise
        self.started.append(start)
        return start


def read_junit(body: bytes, component: str | None, scheduler: str, zone: tzinfo | None = None) -> Report:
    """Parse a report.

    Args:
        body: the file
        component: the component of all its tests; None for ``imported``
        scheduler: the scheduler that ran them
        zone: the time zone of instants that have none; None for the zone of this machine

    Raises:
        Problem: the report is not XML, is not JUnit, contradicts itself, or has too many tests.
    """
    root = _parse(body)
    dialect = dialect_of(root)
    names = Counter((case.get("classname"), case.get("name")) for case in root.iter("testcase"))
    reading = _Reading(dialect, component or IMPORTED, scheduler, timezone.utc if dialect.utc else zone, names)
    _read_suite(root, reading, (), None)
    return Report(list(numbered(reading.tests)), min(reading.started, default=None), dialect.name)


def _parse(body: bytes) -> Element:
    parser = XMLParser(target=_NoDoctype())  # noqa: S314 - a document type, and so every entity, is refused
    try:
        parser.feed(body)
        root: Element = parser.close()
    except ParseError as error:
        raise Problem(400, "not-xml", f"The file is not valid XML: {error}.") from error
    except (ValueError, LookupError) as error:
        raise Problem(400, "not-xml", f"The XML cannot be read: {error}.") from error
    if root.tag not in ("testsuites", "testsuite"):
        raise Problem(422, "not-junit", f"The root element is <{root.tag[:40]}>, not <testsuites> or <testsuite>.")
    return root


def _read_suite(suite: Element, reading: _Reading, path: tuple[str, ...], start: str | None) -> Tally:
    """Read a suite with all suites in it, and check its totals. Return what the program may have counted for it."""
    name = (suite.get("name") or "").strip()
    where = f"Suite {name[:80]!r}" if name else "The suite without a name"
    if not path:
        where = f"The root element <{suite.tag}>" + (f" {name[:80]!r}" if name else "")
    if len(path) > limits.MAX_DEPTH:
        raise Problem(422, "too-deep", f"{where} is nested more than {limits.MAX_DEPTH} levels deep.")
    path = (*path, name)
    start = reading.start_of(suite, start)
    before = len(reading.tests)
    own, all_suites = Tally(), Tally()
    for child in suite:
        if child.tag == "testcase":
            own.include(_read_case(child, reading, path, start))
        elif child.tag in ("testsuite", "testsuites"):
            all_suites.include(_read_suite(child, reading, path, start))
        elif child.tag in ("error", "failure", "skipped"):
            reading.add(_suite_test(reading, path, _element_result(child, reading.dialect), start))
            tally = Tally()
            count_elements(tally, [child.tag])
            tally.add("tests", 0, 1)
            tally.optional()
            own.include(tally)
        elif GENERAL.elements.get(child.tag) is not PASS:
            detail = (
                f"{where} contains <{child.tag[:40]}>, which is not an element of a suite in {reading.dialect.name}."
            )
            raise Problem(422, "unknown-element", detail, child.tag[:40])
    all_suites.include(own)
    _add_stated_result(suite, reading, path, start, before)
    if reading.dialect.loose_root_errors and len(path) == 1:
        _add_loose_errors(suite, reading, path, start, where, all_suites)
    check_totals(suite, where, [all_suites] if len(path) == 1 else [all_suites, own], reading.dialect.hint)
    return all_suites


def _add_stated_result(
    suite: Element, reading: _Reading, path: tuple[str, ...], start: str | None, before: int
) -> None:
    """Add a result if the suite itself states that it did not pass, and none of its tests shows why."""
    for attribute in ("status", "result", "outcome", "state"):
        value = suite.get(attribute)
        outcome = result_of(GENERAL, attribute, value) if value is not None else PASS
        if outcome not in (PASS, None) and all(test.outcome is PASS for test in reading.tests[before:]):
            reading.add(_suite_test(reading, path, _Result(outcome or ERROR, f'{attribute}="{value}"'), start))


def _add_loose_errors(
    root: Element, reading: _Reading, path: tuple[str, ...], start: str | None, where: str, tally: Tally
) -> None:
    """Add a result for the errors that the root declares and that no test case has."""
    surplus = (declared_total(root, "errors", where) or 0) - tally.high["errors"]
    if surplus > 0:
        evidence = (
            f"{reading.dialect.name} reports errors={surplus} outside of tests, such as a package without a build"
        )
        reading.add(_suite_test(reading, path, _Result(ERROR, evidence), start))
        tally.add("errors", 0, surplus)


def _suite_test(reading: _Reading, path: tuple[str, ...], result: _Result, start: str | None) -> ImportedTest:
    """Return the test that stands for a whole suite."""
    name = ".".join(part for part in path if part) or "report"
    return ImportedTest(
        case_id=_case_id(reading, f"{name}:suite"),
        component=reading.component,
        outcome=result.outcome,
        evidence=result.evidence,
        phase=_PHASES.get(result.outcome, Phase.RUN),
        scheduler=reading.scheduler,
        started=start,
        output=result.evidence or None,
        extras={"junit": {"dialect": reading.dialect.name, "suite": path[-1], "classname": "", "name": ""}},
    )


def _read_case(case: Element, reading: _Reading, path: tuple[str, ...], start: str | None) -> Tally:
    """Add the result of a test case. Return what the program may have counted for it."""
    dialect, key = reading.dialect, (case.get("classname"), case.get("name"))
    reading.occurrences[key] += 1
    classname, name = case.get("classname") or "", case.get("name") or ""
    result = _result(case, dialect)
    parts = [case.findtext("system-out"), case.findtext("system-err"), result.evidence]
    test = ImportedTest(
        case_id=_case_id(reading, _case_name(dialect, path, classname, name)),
        component=reading.component,
        outcome=result.outcome,
        evidence=result.evidence,
        phase=_PHASES.get(result.outcome, Phase.RUN),
        scheduler=reading.scheduler,
        started=reading.start_of(case, start),
        seconds=_seconds(case.get("time")),
        output="\n".join(part for part in parts if part) or None,
        extras={"junit": {"dialect": dialect.name, "suite": path[-1], "classname": classname, "name": name}},
        further_runs=tuple(
            (each.outcome, each.evidence)
            for each in (_element_result(child, dialect) for child in case if child.tag in dialect.further_runs)
        ),
    )
    reading.add(read_package(test, classname, name) if is_spack(classname, name) else test)
    return _tally(case, dialect, reading.occurrences[key], reading.names[key])


def _case_id(reading: _Reading, name: str) -> str:
    return f"{reading.component}/{valid_case_name(name)}@{reading.scheduler}"


def _case_name(dialect: Dialect, path: tuple[str, ...], classname: str, name: str) -> str:
    """Return the name of the case, without a part that only repeats the next one."""
    if dialect.file_class:  # the name is "TEST %param=value @system:part+env"
        classname, name = PurePosixPath(classname).stem, name.replace(" %", ":").replace(" @", ":")
    name = name.strip() or path[-1] or "unnamed"
    classname = classname.strip()
    if not classname and name in (value for attribute, value in dialect.uncounted if attribute == "name"):
        classname = path[-1]  # it stands for its suite
    parts = [classname, name] if classname not in ("", name) else [name]
    suites = [part for part in path[1:] or path if part] if dialect.suites else []
    while suites and re.match(rf"{re.escape(suites[-1])}(\W|$)", parts[0]):
        suites.pop()
    return ".".join([*suites, *parts])


def _result(case: Element, dialect: Dialect) -> _Result:
    """Return the worst result that the children and the attributes of a test case state."""
    results = [_element_result(child, dialect) for child in case if child.tag not in dialect.further_runs]
    for attribute, value in case.items():
        outcome = result_of(dialect, attribute, value)
        if outcome is not None:
            known = is_known(dialect, attribute, value)
            evidence = f'{attribute}="{value[:80]}"' + ("" if known else f" is not a known result of {dialect.name}")
            results.append(_Result(outcome, evidence, precise=not known))
    if dialect.leaves_out(case):
        results = [replace(each, outcome=ERROR) if each.outcome is FAIL else each for each in results]
    worst = min((each.outcome for each in results), key=_SEVERITY.index, default=PASS)
    if worst is PASS:
        if dialect.unrun is not None and case.get(dialect.unrun[0]) == dialect.unrun[1]:
            return _Result(SKIP, f'{dialect.unrun[0]}="{dialect.unrun[1]}": {dialect.name} did not run the test')
        return _Result(PASS, "")
    of_worst = [each for each in results if each.outcome is worst and each.evidence]
    precise = [each.evidence for each in of_worst if each.precise]
    output = [(case.findtext(tag) or "").strip() for tag in ("system-out", "system-err")]
    choices = [*precise, *output, *(each.evidence for each in of_worst), worst.value]
    return _Result(worst, next(choice for choice in choices if choice))


def _element_result(element: Element, dialect: Dialect) -> _Result:
    """Return the result that a child of a test case or of a suite states."""
    tag = element.tag
    outcome = dialect.elements.get(tag) or dialect.further_runs.get(tag) or GENERAL.elements.get(tag)
    message, text = element.get("message") or "", element.text or element.findtext("stackTrace") or ""
    if outcome is PASS:
        return _Result(PASS, "")
    if outcome is None:
        return _Result(ERROR, f"<{tag[:40]}> is not a known element of a test case in {dialect.name}")
    if text.strip() == "None":  # Spack writes this for an empty text
        text = ""
    if outcome is SKIP and "xfail" in (element.get("type") or ""):
        return _Result(XFAIL, message or text)
    if (
        outcome is SKIP
        and dialect.real_skips is not None
        and re.fullmatch(dialect.real_skips, message, re.DOTALL) is None
    ):
        outcome = ERROR
    return _Result(outcome, f"{text}\n{message}".strip())


def _tally(case: Element, dialect: Dialect, occurrence: int, occurrences: int) -> Tally:
    """Return what the program may have counted for a test case: the ``occurrence`` (from 1) of ``occurrences``."""
    tally = Tally()
    tally.add("tests", 1, 1)
    tags = [child.tag for child in case]
    if not count_elements(tally, tags):
        _count_attributes(tally, case, dialect)
    if any(tag not in dialect.elements and tag not in GENERAL.elements for tag in tags):
        for total in ("failures", "errors", "skipped"):
            tally.add(total, 0, 1)
    if any(tag in dialect.flaky for tag in tags):
        tally.add("flakes", 1, 1)
    for tag in tags:
        if tag in dialect.further_runs:  # some releases count every run as a test
            tally.add("tests", 0, 1)
            tally.add("failures" if dialect.further_runs[tag] is FAIL else "errors", 0, 1)
    if dialect.disabled_names is not None and not tally.high["disabled"]:
        names = (case.get("classname") or "", case.get("name") or "")
        tally.add("disabled", 0, int(any(re.fullmatch(dialect.disabled_names, name) for name in names)))
    error = case.find("error")
    if dialect.teardown is not None and error is not None and (error.get("message") or "").startswith(dialect.teardown):
        if occurrence == 1:
            tally.add("tests", 0, 1)
        else:
            tally.add("tests", -1, 0)
    if dialect.merged and occurrences > 1:
        tests = tally.low["tests"] if occurrence == 1 else 0
        tally.optional()
        tally.low["tests"] = tests
    if dialect.leaves_out(case):
        tally.optional()
    return tally


def _count_attributes(tally: Tally, case: Element, dialect: Dialect) -> None:
    """Count the result of a test case that only its attributes state."""
    for attribute, value in case.items():
        outcome = result_of(dialect, attribute, value)
        if outcome in (None, PASS):
            continue
        if not is_known(dialect, attribute, value):
            for total in ("failures", "errors", "skipped", "disabled"):
                tally.add(total, 0, 1)
        elif outcome is SKIP:
            disabled = (
                value.strip().casefold() in ("disabled", "suppressed", "notrun", "not run") or attribute == "disabled"
            )
            tally.add("disabled" if disabled else "skipped", 1, 1)
        else:
            tally.add("failures", 0, 1)
            tally.add("errors", 0, 1)
            continue
        return


def _seconds(text: str | None) -> float | None:
    try:
        value = float((text or "").replace(",", ""))
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None
