"""JUnit XML, as pytest, ReFrame and Spack write it.

A document type declaration is refused, because entities could expand without limit. The report of Spack about a package
becomes the case ``NAME/build@local`` or ``NAME/test@local`` (see ``spack``), so that the builds of a package have one
cell, also when its hash changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from collector.errors import Problem
from collector.importers.common import ImportedTest, instant, valid_case_name, valid_name
from collector.importers.spack import is_spack, read_package, unique_builds
from dashboard_client.schema import Outcome, Phase

MAX_CASES = 5000


class _NoDoctype(TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise Problem(422, "doctype", "The file has a document type declaration (DOCTYPE). Remove it.")


@dataclass(frozen=True)
class Report:
    """A parsed report: its tests, and its start if the report contains one."""

    tests: list[ImportedTest]
    started: str | None


def read_junit(body: bytes, component: str | None, scheduler: str) -> Report:
    """Parse a report. Without ``component``, the component of each test is the first part of its class name.

    Raises:
        Problem: the report is not XML, is not JUnit, or has too many tests.
    """
    parser = XMLParser(target=_NoDoctype())  # noqa: S314 - a document type, and so every entity, is refused
    try:
        parser.feed(body)
        root = parser.close()
    except ParseError as error:
        raise Problem(400, "not-xml", f"The file is not valid XML: {error}.") from error
    except (ValueError, LookupError) as error:
        raise Problem(400, "not-xml", f"The XML cannot be read: {error}.") from error
    if root.tag not in ("testsuites", "testsuite"):
        raise Problem(422, "not-junit", f"The root element is <{root.tag[:40]}>, not <testsuites> or <testsuite>.")
    tests: list[ImportedTest] = []
    started: list[str] = []
    for suite, case in _cases(root):
        if len(tests) >= MAX_CASES:
            raise Problem(413, "too-many-records", f"The file has more than {MAX_CASES} test cases. Split it.")
        start = instant(suite.get("timestamp"))
        if start is not None:
            started.append(start)
        tests.append(_imported_test(suite, case, component, scheduler, start))
    return Report(list(_numbered(tests)), min(started, default=None))


def _numbered(tests: Sequence[ImportedTest]) -> Iterator[ImportedTest]:
    """Yield the tests; several tests of the same case become its attempts."""
    cases: dict[str, list[ImportedTest]] = {}
    for test in tests:
        cases.setdefault(test.case_id, []).append(test)
    for same in cases.values():
        for attempt, test in enumerate(unique_builds(same) if same[0].dag_hash else same, 1):
            yield replace(test, attempt=attempt)


def _cases(root: Element) -> Iterator[tuple[Element, Element]]:
    for suite in root.iter("testsuite"):
        for case in suite.findall("testcase"):
            yield suite, case


def _imported_test(
    suite: Element, case: Element, component: str | None, scheduler: str, start: str | None
) -> ImportedTest:
    classname, name = case.get("classname") or "", case.get("name") or "unnamed"
    if suite.get("package") == "reframe":  # classname is a file, name is "TEST %param=value @system:part+env"
        owner = component or "reframe"
        classname, name = PurePosixPath(classname).stem, name.replace(" %", ":").replace(" @", ":")
    else:
        owner = component or valid_name(re.split(r"[.:/ ]", classname or suite.get("name") or "")[0] or "junit", 64)
    full_name = f"{classname}.{name}" if classname else name
    outcome, phase, evidence = _verdict(case)
    parts = [case.findtext("system-out"), case.findtext("system-err"), evidence]
    test = ImportedTest(
        case_id=f"{owner}/{valid_case_name(full_name)}@{scheduler}",
        component=owner,
        outcome=outcome,
        evidence=evidence,
        phase=phase,
        scheduler=scheduler,
        started=start,
        seconds=_seconds(case.get("time")),
        output="\n".join(part for part in parts if part) or None,
        extras={"junit": {"suite": suite.get("name") or "", "classname": classname, "name": name}},
    )
    return read_package(test, classname, name) if is_spack(classname, name) else test


def _verdict(case: Element) -> tuple[Outcome, Phase, str]:
    """Return outcome, phase and evidence. An error takes precedence over a failure, and a failure over a skip."""
    for tag, outcome, phase in (
        ("error", Outcome.ERROR, Phase.LAUNCH),
        ("failure", Outcome.FAIL, Phase.RUN),
        ("skipped", Outcome.SKIP, Phase.PLAN),
    ):
        element = case.find(tag)
        if element is not None:
            message, text = element.get("message") or "", element.text or ""
            if text.strip() == "None":  # Spack writes this for an empty text
                text = ""
            if tag == "skipped" and "xfail" in (element.get("type") or ""):
                return Outcome.XFAIL, Phase.RUN, message or text
            return outcome, phase, f"{text}\n{message}".strip() or tag
    return Outcome.PASS, Phase.RUN, ""


def _seconds(text: str | None) -> float | None:
    try:
        value = float((text or "").replace(",", ""))
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None
