"""What a run leaves for people and programs: pure renderings of the redacted manifest and records, and live progress.

May import ``dashboard_client`` only: a report says nothing that the records do not, and reads no private file. One
module a form: ``junit_xml``, ``summary`` (terminal), ``report_html``, ``summary_json``, ``Progress`` (while it runs).
They share ``view`` (planned cases beside their records, and the verdict in words) and ``text`` (what components print
is never trusted).
"""

from __future__ import annotations

from sdk_tests.report.html import report_html
from sdk_tests.report.junit import junit_xml
from sdk_tests.report.progress import Progress
from sdk_tests.report.summary_json import summary_json
from sdk_tests.report.table import summary
from sdk_tests.report.view import EXIT_CODES, View, view

__all__ = ["EXIT_CODES", "Progress", "View", "junit_xml", "report_html", "summary", "summary_json", "view"]
