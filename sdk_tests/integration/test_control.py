"""Control: the scheduler's own blocking command runs a program; where that fails the site is broken, not the SDK."""

from __future__ import annotations

from sdk_tests.model.attempt import Outcome
from sdk_tests.model.case import EVERY, case


@case(payload="control/hello.py", component="control", schedulers=EVERY, where="control", tier="smoke")
def test_the_schedulers_own_command_runs_a_program(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["greeting"] == "Hello World!"
    assert answer["pid"] > 1
    assert not outcome.nodes or answer["node"] in outcome.nodes
    assert outcome.scheduler == "local" or answer["job_id"], "no batch job: the program did not run under the scheduler"
