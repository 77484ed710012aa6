"""Processes of testbeds: a zombie does not run, even if its parent never collects it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from sdk_tests.testbeds import processes
from sdk_tests.testbeds.base import Daemon

PARENT = """
import os, sys, time
child = os.fork()
if child == 0:
    sys.stdin.readline()  # runs until it is asked to end
    os._exit(0)
print(child, flush=True)
time.sleep(600)  # never collects its child
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_a_zombie_is_neither_alive_nor_a_survivor(parent: subprocess.Popen[str]) -> None:
    assert parent.stdin is not None
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    child = processes.identify(pid, "child")
    assert child is not None
    assert processes.alive(child)
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert processes.wait([child], 60.0) == []
    state = processes._stat(pid)
    assert (state[0], int(state[1])) == ("Z", parent.pid)  # it is still in the table of processes
    assert not processes.alive(child)
    assert processes.identify(pid) is None
    assert processes.end([child], grace=0.0) == []
    assert processes.descendants([Daemon("parent", parent.pid, int(processes._stat(parent.pid)[19]))]) == []
