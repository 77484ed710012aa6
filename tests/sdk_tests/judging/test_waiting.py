"""A case that reaches its time limit states where its payload waited."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sdk_tests.judging.classification import Health, classify
from sdk_tests.judging.waiting import split_waiting
from sdk_tests.model.attempt import AttemptResult
from sdk_tests.plan.probe import PAYLOADS

COMPONENT = """
import threading
def result(started):
    started.touch()
    threading.Event().wait()
"""
PAYLOAD = """
import sys
from pathlib import Path
sys.path[:0] = [{payloads!r}, {component!r}]
from _payload import main
def run(request):
    {before}
    {waits}
main(run, "waits")
"""


def output_of(folder: Path, waits: str, before: str = "") -> str:
    """Run a payload, end it as the harness does, and return its stderr."""
    component = folder / "env" / "lib" / "python3.11" / "site-packages"
    component.mkdir(parents=True)
    (component / "futures.py").write_text(COMPONENT)
    started = folder / "started"
    text = PAYLOAD.format(payloads=str(PAYLOADS), component=str(component), before=before, waits=waits)
    (folder / "waits.py").write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-I", str(folder / "waits.py")], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    while not started.exists():
        assert process.poll() is None
    while True:  # Python does not notice a signal that comes a moment before the main thread begins to wait for a lock
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=1)[1]


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        (
            "import futures; futures.result(Path('started'))",
            "waits.py, line 8: import futures; futures.result(Path('started')) (in futures.py, line 5)",
        ),
        (
            "import time; Path('started').touch(); time.sleep(60)",
            "waits.py, line 8: import time; Path('started').touch(); time.sleep(60)",
        ),
    ],
    ids=["in-a-component", "in-the-payload"],
)
def test_the_call_of_the_payload_and_the_innermost_of_the_component_are_named(
    tmp_path: Path, waits: str, expected: str
) -> None:
    output = output_of(tmp_path, waits, before="print('RuntimeError: no worker registered', file=sys.stderr)")
    result = AttemptResult("waits/x@local", 1, "timeout", tail=output)
    assert split_waiting(output)[1] == expected
    cause = classify(result, Health(), control=False).cause
    assert cause is not None
    assert f"it waited in {expected}" in cause.evidence
    assert "RuntimeError: no worker registered" in cause.evidence  # the traceback of the end does not hide it
    assert "SystemExit" not in cause.evidence


@pytest.mark.parametrize(
    "output",
    [
        "",
        "connecting\nstill connecting\n",
        "SystemExit: ended by SIGTERM\n",
        "Traceback (most recent call last):\nSystemExit: ended by SIGTERM\n",
        'Traceback (most recent call last):\n  File "',
    ],
)
def test_output_without_a_place_names_none(output: str) -> None:
    rest, waiting = split_waiting(output)
    assert waiting == ""
    assert "connecting" not in output or rest == output
