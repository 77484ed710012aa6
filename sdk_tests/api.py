"""The interface for people who write cases; the package ``sdk_tests`` re-exports it.

A case is a payload (a small program that uses a component) and a test function that judges the payload's answer::

    from sdk_tests import EVERY, Outcome, case

    @case(payload="parsl/hello.py", component="parsl", schedulers=EVERY, tier="smoke")
    def test_an_app_returns_from_the_allocation(outcome: Outcome) -> None:
        assert outcome.answer["greeting"] == "hello"

These names and their signatures change only with the major version of the release.
"""

from __future__ import annotations

from sdk_tests.model.attempt import Outcome
from sdk_tests.model.case import EVERY, Case, Where, case
from sdk_tests.model.fixture import Fixture

__all__ = ["EVERY", "Case", "Fixture", "Outcome", "Where", "case"]
