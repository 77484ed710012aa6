"""Control: the scheduler's own blocking command runs a program. If it fails, the site is broken and not the SDK."""

from __future__ import annotations

from sdk_tests import EVERY, Outcome, case


@case(payload="control/hello.py", component="control", schedulers=EVERY, where="control", tier="smoke")
def test_the_schedulers_own_command_runs_a_program(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["greeting"] == "Hello World!"
    assert answer["pid"] > 1
    assert outcome.ran_on(answer["node"])
    assert outcome.scheduler == "local" or answer["job_id"], (
        "no batch job id: the program did not run under the scheduler"
    )
