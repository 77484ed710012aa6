"""The conditions of a node, each tried on a node that lacks something."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sdk_tests.execution.node_conditions import conditions
from sdk_tests.plan.probe import PAYLOADS


def looked_at(limit: tuple[int, int] | None = None, **environ: str) -> tuple[list[str], list[str]]:
    def lower() -> None:
        if limit is not None:
            resource.setrlimit(limit[0], (limit[1], limit[1]))

    argv = [sys.executable, str(PAYLOADS / "_conditions.py"), json.dumps({"interface": "hsn7"})]
    kept = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environ}
    done = subprocess.run(argv, env=kept, capture_output=True, check=True, preexec_fn=lower)
    return conditions(done.stdout)


def test_a_healthy_node_blocks_nothing_and_an_absent_interface_is_noted() -> None:
    blocking, notes = looked_at()
    assert blocking == []
    assert any("hsn7" in note for note in notes)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"TMPDIR": "/nowhere"}, "TMPDIR (/nowhere): FileNotFoundError"),
        ({"TMPDIR": "/proc"}, "TMPDIR (/proc): "),
        ({"limit": (resource.RLIMIT_NOFILE, 20)}, "open files: OSError: [Errno 24] Too many open files"),
        ({"limit": (resource.RLIMIT_FSIZE, 1024)}, "OSError: [Errno 27] File too large"),
    ],
)
def test_what_no_case_can_do_blocks(given: Any, expected: str) -> None:
    blocking, _ = looked_at(**given)
    assert expected in "\n".join(blocking)


@pytest.mark.parametrize(
    ("script", "expected"),
    [("exit 3", "ends with 3 (BASH_ENV="), ("exec sleep 60", "does not end within"), ("kill -9 $$", "ends with -9")],
)
def test_a_start_file_that_ends_every_script_blocks(
    script: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "start").write_text(script + "\n")
    (tmp_path / "_conditions.py").write_text(
        (PAYLOADS / "_conditions.py").read_text(encoding="utf-8").replace("SHELL = 20", "SHELL = 1")
    )
    monkeypatch.setattr(f"{__name__}.PAYLOADS", tmp_path)
    blocking, _ = looked_at(BASH_ENV=str(tmp_path / "start"))
    assert expected in "\n".join(blocking)


def test_a_start_file_that_only_prints_blocks_nothing(tmp_path: Path) -> None:
    (tmp_path / "start").write_text("echo Welcome; echo quota >&2\n")
    assert looked_at(BASH_ENV=str(tmp_path / "start"))[0] == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"LC_ALL": "xx_YY.UTF-8"}, "unsupported locale setting"),
        ({"HOME": "/nowhere"}, "HOME (/nowhere)"),
        ({"limit": (resource.RLIMIT_NOFILE, 200)}, "the limit of open files is 200"),
    ],
)
def test_what_a_case_may_survive_is_noted(given: Any, expected: str) -> None:
    blocking, notes = looked_at(**given)
    assert blocking == []
    assert expected in "\n".join(notes)


@pytest.mark.parametrize(
    "printed",
    [b"", b"no json", b"[", b'[{"message": "x"}]', b"[1]", b"\xff\n", json.dumps({"a": 1}).encode()],
)
def test_an_answer_that_cannot_be_read_blocks_nothing(printed: bytes) -> None:
    assert conditions(printed) == ([], [])


def test_noise_around_the_answer_is_no_obstacle(tmp_path: Path) -> None:
    answer = json.dumps([{"message": "full", "blocks": True}, {"message": "slow", "blocks": False}])
    assert conditions(f"Welcome\n[INFO] loading\n{answer}\n".encode()) == (["full"], ["slow"])
