"""What the harness starts does not make a bash below it read ~/.bashrc, however bare its own environment is."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sdk_tests.execution.process_table import ProcessEnd, ProcessTable
from sdk_tests.model.shell_level import EXPORT

BARE = (None, "0", "", "-1", "odd")
"""Values of SHLVL with which bash reads the file; None: it is not set."""
PROGRAM = """
import socket, subprocess
ours, theirs = socket.socketpair()
print(subprocess.run(["bash", "-c", "echo command"], stdin=theirs, capture_output=True, text=True).stdout)
"""


def environ(home: Path, level: str | None) -> dict[str, str]:
    (home / ".bashrc").write_text("echo from bashrc\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    return env if level is None else {**env, "SHLVL": level}


def test_a_bash_with_a_socket_as_its_input_reads_the_file_if_its_environment_is_bare(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        argv = ["bash", "-c", "echo command"]
        done = subprocess.run(
            argv, stdin=theirs, env=environ(tmp_path, None), capture_output=True, text=True, check=True
        )
    assert done.stdout.split("\n")[:2] == ["from bashrc", "command"]


@pytest.mark.parametrize("level", BARE)
def test_what_a_payload_starts_does_not_read_it(tmp_path: Path, level: str | None) -> None:
    ends: list[ProcessEnd] = []
    table = ProcessTable()
    argv = [sys.executable, "-c", PROGRAM]
    table.spawn("payload", argv, environ(tmp_path, level), str(tmp_path), 60.0, ends.append, mark="run/payload")
    while not ends:
        table.poll(1.0)
    assert ends[0].stdout.decode().split() == ["command"]


@pytest.mark.parametrize("level", BARE)
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_what_the_script_of_a_job_starts_does_not_read_it(tmp_path: Path, level: str | None, shell: str) -> None:
    script = tmp_path / "job.sh"
    script.write_text(f"{EXPORT}\nexec {shlex.quote(sys.executable)} -c '{PROGRAM}'\n")
    done = subprocess.run([shell, script], env=environ(tmp_path, level), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["command"]


def test_a_users_own_depth_is_kept(tmp_path: Path) -> None:
    ends: list[ProcessEnd] = []
    table = ProcessTable()
    argv = ["sh", "-c", "echo $SHLVL"]
    table.spawn("payload", argv, environ(tmp_path, "4"), str(tmp_path), 60.0, ends.append)
    while not ends:
        table.poll(1.0)
    assert ends[0].stdout.decode().strip() in ("4", "5")  # a bash as sh counts itself
