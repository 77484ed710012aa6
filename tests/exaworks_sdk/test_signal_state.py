"""Commands do not hand on to their children what their parent did to signals."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

STARTED = """
import os, signal, sys
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_DFL)
for number in map(int, sys.argv[1].split()):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, map(int, sys.argv[2].split()))
os.execv(sys.executable, [sys.executable, "-c", '''
import subprocess, sys
from exaworks_sdk.signal_state import restore_signals
restore_signals()
subprocess.run(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"], check=True)
'''])
"""


@pytest.mark.parametrize(
    ("ignored", "blocked", "still_ignored"),
    [
        ([signal.SIGCHLD], [], []),
        ([signal.SIGTERM, signal.SIGUSR1, signal.SIGQUIT], [signal.SIGTERM, signal.SIGCHLD], []),
        ([signal.SIGHUP], [], [signal.SIGHUP]),  # nohup
        ([signal.SIGINT, signal.SIGQUIT], [], [signal.SIGINT]),  # a background job of a script
        ([], [signal.SIGINT, signal.SIGALRM, signal.SIGRTMAX], []),
    ],
)
def test_children_get_signals_as_programs_expect_them(
    ignored: list[signal.Signals], blocked: list[signal.Signals], still_ignored: list[signal.Signals]
) -> None:
    numbers = [" ".join(str(int(each)) for each in these) for these in (ignored, blocked)]
    done = subprocess.run([sys.executable, "-c", STARTED, *numbers], capture_output=True, text=True, check=True)
    masks = {name: int(value, 16) for name, _, value in (line.partition(":") for line in done.stdout.splitlines())}
    assert masks["SigBlk"] == 0
    assert masks["SigIgn"] == sum(1 << (each - 1) for each in still_ignored)
