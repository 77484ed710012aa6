"""``exaworks testbed`` as a user types it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exaworks_sdk.paths import Places
from sdk_tests.cli import testbed


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="testbed-", dir="/tmp"))
    yield folder
    call(folder, "down", "--all")
    shutil.rmtree(folder)


def call(home: Path, *argv: str) -> Result:
    return CliRunner().invoke(testbed.testbed, argv, obj=Places(home=home, checkout=None))


@pytest.mark.needs("slurm", "munge")
def test_a_testbed_can_be_started_used_listed_and_stopped(home: Path) -> None:
    done = call(home, "up", "slurm", "--nodes", "3", "--cores", "2")
    assert done.exit_code == 0, done.output
    name = done.stdout.strip()
    assert f'eval "$(exaworks testbed env {name})"' in done.stderr

    (listed,) = json.loads(call(home, "list", "--json").stdout)
    assert (listed["id"], listed["kind"], listed["nodes"], listed["state"]) == (name, "slurm", 3, "up")
    assert name in call(home, "list").stdout

    exports = call(home, "env", name).stdout
    inside = {key: value for key, value in os.environ.items() if not key.startswith("SLURM")}
    script = f"{exports}\nsinfo -h -o '%D %c'\n"
    shown = subprocess.run(["sh", "-eu"], input=script, env=inside, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["3", "2"]

    assert call(home, "down", name).exit_code == 0
    assert json.loads(call(home, "list", "--json").stdout) == []


@pytest.mark.needs("slurm", "munge")
def test_down_all_stops_every_testbed_and_list_shows_a_damaged_one(home: Path) -> None:
    names = [call(home, "up", "slurm", "--nodes", "1").stdout.strip() for _ in range(2)]
    record = json.loads((home / "testbeds" / names[0] / "testbed.json").read_text())
    (pid,) = [daemon["pid"] for daemon in record["daemons"] if daemon["name"] == "slurmd-n1"]
    os.kill(pid, 9)
    states = {row["id"]: row["state"] for row in json.loads(call(home, "list", "--json").stdout)}
    assert states == {names[0]: "damaged", names[1]: "up"}
    assert sorted(call(home, "down", "--all").stdout.split()) == sorted(names)
    assert list((home / "testbeds").iterdir()) == []


def test_additions_to_path_come_first_even_without_a_path(home: Path) -> None:
    folder = home / "testbeds" / "slurm-abc"
    folder.mkdir(parents=True)
    env = {"SLURM_CONF": "/a b/slurm.conf", "PATH+": "/opt/slurm/bin"}
    spec = {"kind": "slurm"}
    record = {"id": "slurm-abc", "kind": "slurm", "folder": str(folder), "env": env, "scheduler": spec}
    (folder / "testbed.json").write_text(json.dumps(record))
    exports = call(home, "env", "slurm-abc").stdout
    for before, after in (("PATH=/usr/bin;", "/opt/slurm/bin:/usr/bin"), ("unset PATH;", "/opt/slurm/bin")):
        script = f'{before}{exports}\necho "$PATH|$SLURM_CONF"'
        shown = subprocess.run(["/bin/sh", "-eu"], input=script, capture_output=True, text=True, check=True)
        assert shown.stdout.strip() == f"{after}|/a b/slurm.conf"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["up", "sge"], "there is no kind of testbed 'sge'; known kinds: "),
        (["up", "slurm", "--nodes", "0"], "0 is not in the range"),
        (["down", "slurm-000000"], "there is no testbed 'slurm-000000'"),
        (["env", "slurm-000000"], "there is no testbed 'slurm-000000'"),
        (["down"], "give the names of testbeds, or --all"),
        (["down", "x", "--all"], "give the names of testbeds, or --all"),
    ],
)
def test_a_usage_error_gives_one_message_and_exit_code_2(home: Path, argv: list[str], message: str) -> None:
    done = call(home, *argv)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize("command", [[], ["up"], ["list"], ["down"], ["env"]])
def test_every_help_text_ends_with_examples(home: Path, command: list[str]) -> None:
    shown = call(home, *command, "--help").stdout
    assert "Examples:\n" in shown
    assert "exaworks testbed" in shown.partition("Examples:")[2]


def test_the_command_line_is_loaded_without_yaml_and_without_the_testbeds() -> None:
    program = "import sys, sdk_tests.cli.testbed; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"ruamel.yaml", "tabulate", "sdk_tests.testbeds.manage", "sdk_tests.testbeds.slurm"} & set(loaded)
