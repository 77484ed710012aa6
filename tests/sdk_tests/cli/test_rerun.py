"""``exaworks rerun``: the payload of a case runs again, in the activation of its run, by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sdk_tests.testbeds import Testbed, manage
from tests.sdk_tests.bench import Bench
from tests.sdk_tests.judging.test_shared_allocations import NESTED

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


IN_JOB = """
import json, os, subprocess, sys
with open("starts", "a") as file:
    file.write("started\\n")
print("noise", file=sys.stderr)
names = ("SLURM_JOB_NUM_NODES", "FLUX_URI")
steps = subprocess.run({launch!r}, capture_output=True, text=True, check=False)
print(json.dumps({{"inside": {{name: os.environ.get(name) for name in names}}, "hosts": steps.stdout.split()}}))
sys.exit(3)
"""


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


def validate(bench: Bench, *arguments: str) -> None:
    bench.command()  # writes the site file and the module of cases
    argv = [sys.executable, "-m", "exaworks_sdk", "validate", "--site-file", str(bench.folder / "site.yaml")]
    argv += ["--site", "test/box", "--cases", str(bench.folder), "--no-upload", *arguments]
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


@pytest.mark.needs("slurm", "munge")
def test_a_payload_of_two_nodes_runs_again_once_in_an_allocation_of_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, site_additions="testbeds: [slurm]\n")
    source = IN_JOB.format(launch=["srun", "--ntasks=2", "--nodes=2", "hostname"])
    bench.case("fails", source, nodes=2, schedulers=("slurm",), walltime=60.0)
    validate(bench, "--scheduler", "slurm")
    done = rerun(bench, "last", "python/fails@slurm")
    assert done.returncode == 3, done.stderr
    assert '"SLURM_JOB_NUM_NODES": "2"' in done.stdout
    assert len(json.loads(done.stdout)["hosts"]) == 2, done.stdout
    assert "noise" in done.stderr
    assert "submitted: " in done.stderr
    (folder,) = (line.split()[-1] for line in done.stderr.splitlines() if line.startswith("folder:"))
    assert Path(folder, "starts").read_text().split() == ["started"]

    shown = rerun(bench, "last", "python/fails@slurm", "--print")
    assert shown.stdout.split()[0].endswith("sbatch")
    assert Path(shown.stdout.split()[-1]).is_file(), shown.stdout


class OnTestbed(Bench):
    testbed: Testbed

    def environ(self) -> dict[str, str]:
        return manage.environment(self.testbed, super().environ())


@pytest.mark.needs("slurm", "munge", "flux")
@pytest.mark.slow
def test_a_payload_under_a_nested_scheduler_runs_again_under_it(tmp_path: Path) -> None:
    bench = OnTestbed(tmp_path)
    bench.testbed = manage.up("slurm", tmp_path / "testbed", nodes=2, cores=2, owner_pid=os.getpid())
    specs = [msgspec.to_builtins(bench.testbed.scheduler), NESTED]
    bench.site_additions = f"schedulers: {json.dumps(specs)}\n"
    bench.case("fails", IN_JOB.format(launch=["flux", "run", "hostname"]), schedulers=("flux",), walltime=60.0)
    try:
        validate(bench, "--scheduler", "slurm+flux")
        done = rerun(bench, "last", "python/fails@slurm+flux")
    finally:
        manage.down(tmp_path / "testbed", bench.testbed.id)
    assert done.returncode == 3, done.stderr
    answer = json.loads(done.stdout)
    assert answer["inside"]["FLUX_URI"]
    assert len(answer["hosts"]) == 1
