"""A robustness campaign recognizes the processes of a run by their whole command lines."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.campaign import _below, _role


@pytest.mark.parametrize("length", [0, 300])
def test_the_role_of_a_process_does_not_depend_on_the_length_of_its_path(length: int) -> None:
    argv = [sys.executable, "-c", "input()", f"/{'x' * length}", "sdk_tests.execution.supervisor"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        roles = {pid: _role(line) for pid, line in _below(os.getpid())}
        assert process.stdin is not None
        process.stdin.close()
    assert roles[process.pid] == "supervisor"
