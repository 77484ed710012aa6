"""The reports of a run for people and programs, rendered from the redacted manifest and records, and live progress.

A report shows nothing that is not in the records and reads no private file. Each form is one module: ``junit_xml``,
``screen`` (the end of a run on a terminal) and ``summary`` (the same in detail), ``report_html``, ``summary_json``, and
``Progress`` (during the run). They share ``view`` (each planned case with its records, and the verdict as text) and
``text`` (the output of components is never trusted).
"""

from __future__ import annotations

from sdk_tests.report.html import report_html
from sdk_tests.report.junit import junit_xml
from sdk_tests.report.progress import Progress
from sdk_tests.report.screen import screen, short_verdict
from sdk_tests.report.summary_json import summary_json
from sdk_tests.report.table import summary
from sdk_tests.report.view import EXIT_CODES, View, view

__all__ = [
    "EXIT_CODES",
    "Progress",
    "View",
    "junit_xml",
    "report_html",
    "screen",
    "short_verdict",
    "summary",
    "summary_json",
    "view",
]
