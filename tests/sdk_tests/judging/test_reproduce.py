"""The command in a record that runs a payload again by hand works in a shell, whatever its paths look like."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard_client.masking import Masker
from sdk_tests.model.attempt import AttemptResult
from sdk_tests.plan.probe import PAYLOADS
from sdk_tests.recording.recorder import reproduce


@pytest.mark.parametrize("name", ["user", "ordinary user", "it's", "50% $x"])
def test_it_names_the_home_folder_so_that_a_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home = tmp_path / name
    program = home / "my programs" / "show"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s" "$1"\n')
    program.chmod(0o700)
    monkeypatch.setenv("HOME", str(home))
    result = AttemptResult(case_id="c/x@local", attempt=1, ending="exited", argv=(str(program), '{"a": 1}'))
    text = Masker([], str(home), "user").mask_text(reproduce(result) or "")
    assert str(home) not in text
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True, env={"HOME": str(home)})
    assert done.stdout == '{"a": 1}'


def test_a_path_elsewhere_is_quoted_as_a_whole() -> None:
    argv = ("/opt/a b/python", "-m", "x", "{}")
    result = AttemptResult(case_id="c/x@local", attempt=1, ending="exited", argv=argv)
    assert shlex.split(reproduce(result) or "") == list(argv)


def test_a_payload_finds_its_programs_although_the_home_folder_is_masked(tmp_path: Path) -> None:
    payload = tmp_path / "shows.py"
    payload.write_text(
        f"import sys\nsys.path[:0] = [{str(PAYLOADS)!r}]\nfrom _payload import main\n"
        "main(lambda request: {'bin': request['bin']}, 'shows')\n"
    )
    argv = [sys.executable, str(payload), '{"bin": "~/env/bin"}']
    done = subprocess.run(argv, cwd=tmp_path, env={"HOME": "/home/a b"}, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"bin": "/home/a b/env/bin"}
