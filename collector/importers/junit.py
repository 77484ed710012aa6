"""JUnit XML, as pytest, ReFrame and Spack write it.

A document type is refused, and with it every entity that could be made to grow. What Spack reports of a package
becomes the case ``NAME/build@local`` (or ``test``, see ``spack``), so that builds land beside tests and keep their
place when the hash changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from collector.errors import Problem
from collector.importers.common import Finding, case_of, instant, name_of
from collector.importers.spack import is_spack, once, read_package
from dashboard_client.schema import Outcome, Phase

MAX_CASES = 5000


class _NoDoctype(TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise Problem(422, "doctype", "A document type is not taken.")


@dataclass(frozen=True)
class Report:
    """A report, read: its cases and when it began, where it says so."""

    findings: list[Finding]
    started: str | None


def read_junit(body: bytes, component: str | None, scheduler: str) -> Report:
    """Read a report; without ``component`` each case belongs to what its class name begins with.

    Raises:
        Problem: it is no XML, no JUnit, or too much.
    """
    parser = XMLParser(target=_NoDoctype())  # noqa: S314 - a document type, and so every entity, is refused
    try:
        parser.feed(body)
        root = parser.close()
    except ParseError as error:
        raise Problem(400, "not-xml", f"{error}.") from error
    except (ValueError, LookupError) as error:
        raise Problem(400, "not-xml", f"The XML cannot be read: {error}.") from error
    if root.tag not in ("testsuites", "testsuite"):
        raise Problem(422, "not-junit", f"The root element is <{root.tag[:40]}>, not <testsuites> or <testsuite>.")
    findings: list[Finding] = []
    started: list[str] = []
    for suite, case in _cases(root):
        if len(findings) >= MAX_CASES:
            raise Problem(413, "too-many-records", f"More than {MAX_CASES} test cases.")
        began = instant(suite.get("timestamp"))
        if began is not None:
            started.append(began)
        findings.append(_finding(suite, case, component, scheduler, began))
    return Report(list(_numbered(findings)), min(started, default=None))


def _numbered(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield the findings with those of the same case as attempts at it."""
    cases: dict[str, list[Finding]] = {}
    for found in findings:
        cases.setdefault(found.case_id, []).append(found)
    for same in cases.values():
        for attempt, found in enumerate(once(same) if same[0].dag_hash else same, 1):
            yield replace(found, attempt=attempt)


def _cases(root: Element) -> Iterator[tuple[Element, Element]]:
    for suite in root.iter("testsuite"):
        for case in suite.findall("testcase"):
            yield suite, case


def _finding(suite: Element, case: Element, component: str | None, scheduler: str, began: str | None) -> Finding:
    classname, name = case.get("classname") or "", case.get("name") or "unnamed"
    if suite.get("package") == "reframe":  # the class name is a file, the name "TEST %param=value @system:part+env"
        owner = component or "reframe"
        classname, name = PurePosixPath(classname).stem, name.replace(" %", ":").replace(" @", ":")
    else:
        owner = component or name_of(re.split(r"[.:/ ]", classname or suite.get("name") or "")[0] or "junit", 64)
    whole = f"{classname}.{name}" if classname else name
    outcome, phase, evidence = _verdict(case)
    parts = [case.findtext("system-out"), case.findtext("system-err"), evidence]
    found = Finding(
        case_id=f"{owner}/{case_of(whole)}@{scheduler}",
        component=owner,
        outcome=outcome,
        evidence=evidence,
        phase=phase,
        scheduler=scheduler,
        started=began,
        seconds=_seconds(case.get("time")),
        output="\n".join(part for part in parts if part) or None,
        extras={"junit": {"suite": suite.get("name") or "", "classname": classname, "name": name}},
    )
    return read_package(found, classname, name) if is_spack(classname, name) else found


def _verdict(case: Element) -> tuple[Outcome, Phase, str]:
    """Return the outcome; an error outweighs a failure, and both a skip."""
    for tag, outcome, phase in (
        ("error", Outcome.ERROR, Phase.LAUNCH),
        ("failure", Outcome.FAIL, Phase.RUN),
        ("skipped", Outcome.SKIP, Phase.PLAN),
    ):
        found = case.find(tag)
        if found is not None:
            message, text = found.get("message") or "", found.text or ""
            if text.strip() == "None":  # as Spack writes that it has nothing to add
                text = ""
            if tag == "skipped" and "xfail" in (found.get("type") or ""):
                return Outcome.XFAIL, Phase.RUN, message or text
            return outcome, phase, f"{text}\n{message}".strip() or tag
    return Outcome.PASS, Phase.RUN, ""


def _seconds(said: str | None) -> float | None:
    try:
        value = float((said or "").replace(",", ""))
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None
