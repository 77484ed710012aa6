"""Why a case did not pass: the catalogue of known causes, and its application to what a case left behind.

``rules/`` is the catalogue, as data. ``matching.py`` applies it to texts: the output of a payload, its answer, the logs
of its component, and the scheduler's answers about its job. ``diagnose.py`` makes the diagnosis of a record from that.
``harvest.py`` collects the logs. ``page.py`` writes ``docs/diagnosis.md``.

This package may import ``model``, ``errors`` and ``dashboard_client``. ``plan`` uses it for the preflight, ``judging``
for every attempt that did not pass. Nothing here runs for a case that passed.
"""

from sdk_tests.diagnosis.diagnose import Observed, blocked_by, cause_of, completed, diagnosed, diagnosis_of
from sdk_tests.diagnosis.matching import Match, find_cause
from sdk_tests.diagnosis.rule import Rule
from sdk_tests.diagnosis.text import Text, Where

__all__ = [
    "Match",
    "Observed",
    "Rule",
    "Text",
    "Where",
    "blocked_by",
    "cause_of",
    "completed",
    "diagnosed",
    "diagnosis_of",
    "find_cause",
]
