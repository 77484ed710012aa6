"""``exaworks rerun``: the payload of a case runs again, in the activation of its run, by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sdk_tests.bench import Bench

PAYLOAD = """
import json, os, sys
request = json.loads(sys.argv[1])
print("noise", file=sys.stderr)
print(json.dumps({"frame": "frame" in request, "folder": os.getcwd(), "number": request["params"]["number"]}))
sys.exit(request["params"]["code"])
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A run in which one case of its own failed; its site file and its cases are those of a user."""
    made = Bench(tmp_path)
    made.case("fails", PAYLOAD, params={"number": 7, "code": 3})
    made.case("passes", params={})
    return made


def rerun(bench: Bench, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exaworks_sdk", "rerun", *arguments],
        env=bench.environ(),
        cwd=bench.folder,
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def validate(bench: Bench) -> None:
    bench.command()  # writes the site file and the module of cases
    argv = [sys.executable, "-m", "exaworks_sdk", "validate", "--site-file", str(bench.folder / "site.yaml")]
    argv += ["--site", "test/box", "--cases", str(bench.folder), "--no-upload"]
    done = subprocess.run(argv, env=bench.environ(), cwd=bench.folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "exaworks rerun" in done.stdout


def test_a_payload_runs_again_with_its_request_and_its_exit_code_in_a_folder_of_its_own(bench: Bench) -> None:
    validate(bench)
    done = rerun(bench, "last", "python/fails@local")
    assert done.returncode == 3, done.stderr
    assert '"number": 7' in done.stdout
    assert '"frame": false' in done.stdout
    assert "private/reruns/01/work" in done.stdout
    assert "noise" in done.stderr

    again = rerun(bench, "python/fai*")
    assert (again.returncode, "private/reruns/02/work" in again.stdout) == (3, True)

    shown = rerun(bench, "last", "python/fails@local", "--print")
    assert shown.returncode == 0
    assert "fails.py" in shown.stdout
    assert "number" in shown.stdout

    shell = rerun(bench, "last", "python/fails@local", "--shell", text="pwd; exit 5\n")
    assert (shell.returncode, "reruns/04" in shell.stdout) == (5, True)
    assert "command: " in shell.stderr

    unknown = rerun(bench, "last", "python/nothing@local")
    assert (unknown.returncode, "no such case" in unknown.stderr) == (2, True)

    several = rerun(bench, "last", "python/*")
    assert (several.returncode, "Give more of the id" in several.stderr) == (2, True)
