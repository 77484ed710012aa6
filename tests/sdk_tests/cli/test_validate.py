"""``exaworks validate`` as users run it, with the real components of the release, some of them broken on purpose."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard_client.causes import root_causes
from dashboard_client.runs import RunFolder
from sdk_tests.testbeds import manage
from tests.needs import need, program

pytestmark = [pytest.mark.needs("components"), pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]


class Home:
    """A state folder with a copy of the release's deployment that consists of hard links."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        components = Path(str(need("components")))
        self.deployment = folder / "deployments" / components.name
        self.deployment.parent.mkdir(parents=True)
        subprocess.run(["cp", "-al", str(components), str(self.deployment)], check=True)

    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("EXAWORKS_", "SLURM", "PYTEST", "COV"))}
        return {**kept, "EXAWORKS_HOME": str(self.folder)}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--site", "local/workstation", *arguments]

    def validate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environ(), capture_output=True, text=True, timeout=300, check=False
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> RunFolder:
        return RunFolder.open("last", self.folder / "runs")

    def verdicts(self) -> dict[str, tuple[str, str | None]]:
        verdicts = {}
        for case_id, record in self.run().effective().items():
            cause = record.verdict.cause
            verdicts[case_id] = (record.verdict.outcome.value, cause.rule if cause else None)
        return verdicts

    def metadata(self, distribution: str) -> Path:
        (folder,) = self.deployment.glob(f"lib/python3*/site-packages/{distribution}-*.dist-info")
        return folder


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    yield Home(tmp_path)
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_a_missing_component_that_the_release_promises_fails(home: Home) -> None:
    shutil.rmtree(home.metadata("parsl"))
    done = home.validate("--tier", "smoke", "--scheduler", "local", "--component", "parsl", "--no-upload")
    assert done.returncode == 1, done.stdout + done.stderr
    verdicts = home.verdicts()
    assert {v for k, v in verdicts.items() if k.startswith("parsl/")} == {("fail", "promised-absent")}
    assert verdicts["control/hello@local"] == ("pass", None)
    assert "FAIL" in done.stdout
    assert "release 2026.11 promises parsl" in done.stdout


def test_a_component_with_another_version_fails_and_the_message_names_both_versions(home: Home) -> None:
    metadata = home.metadata("parsl") / "METADATA"
    text = metadata.read_text()
    version = re.search(r"^Version: (.*)$", text, re.MULTILINE)
    assert version is not None
    metadata.unlink()  # a hard link: the release's own file must stay as it is
    metadata.write_text(text.replace(f"Version: {version.group(1)}", "Version: 2020.1.1", 1))
    done = home.validate("--tier", "smoke", "--scheduler", "local", "--component", "parsl", "--no-upload")
    assert done.returncode == 1, done.stdout + done.stderr
    failed = {v for k, v in home.verdicts().items() if k.startswith("parsl/")}
    assert failed == {("fail", "version-mismatch")}
    assert "2020.1.1" in done.stdout
    assert version.group(1) in done.stdout


def test_an_installed_component_that_cannot_be_imported_is_the_distributions_fault(home: Home) -> None:
    package = home.metadata("psij_python").parent / "psij" / "__init__.py"
    package.unlink()
    package.write_text("import a_module_that_was_not_packaged\n")
    done = home.validate("--tier", "smoke", "--scheduler", "local", "--component", "psij", "--no-upload")
    assert done.returncode == 1, done.stdout + done.stderr
    assert home.verdicts()["psij/hello@local"] == ("fail", "damaged-file")
    assert "a_module_that_was_not_packaged" in done.stdout


def test_without_slurm_its_cells_are_skipped_and_the_reason_names_what_to_install(home: Home) -> None:
    """If Slurm is installed, its controller is hidden in a mount namespace of this test."""
    controller = program("slurmctld")
    command = home.command("--tier", "smoke", "--component", "psij", "--no-upload", "--json")
    if controller is not None:
        if os.geteuid() != 0:
            pytest.skip("hiding an installed Slurm needs root")
        hide = f'mount --bind /dev/null {controller} && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", hide, "sh", *command]
    done = subprocess.run(command, env=home.environ(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    verdicts = home.verdicts()
    assert verdicts["psij/hello@local"] == ("pass", None)
    assert verdicts["psij/hello@slurm"] == ("skip", "scheduler-absent")
    cause = home.run().effective()["psij/hello@slurm"].verdict.cause
    assert cause is not None
    assert "slurmctld" in cause.evidence
    assert "slurm-wlm" in cause.evidence


def test_without_flux_its_cells_are_skipped_and_the_reason_names_what_to_install(home: Home) -> None:
    path = [part for part in os.environ["PATH"].split(os.pathsep) if not Path(part, "flux").exists()]
    command = home.command(
        "--scheduler", "local", "--scheduler", "flux", "--case", "psij/hello", "--case", "flux/instance"
    )
    environ = {**home.environ(), "PATH": os.pathsep.join(path)}
    done = subprocess.run(
        [*command, "--no-upload"], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = home.verdicts()
    assert verdicts["psij/hello@local"] == ("pass", None)
    assert verdicts["psij/hello@flux"] == ("skip", "scheduler-absent")
    assert verdicts["flux/instance@local"] == ("skip", "not-deployed")
    cause = home.run().effective()["psij/hello@flux"].verdict.cause
    assert cause is not None
    assert cause.evidence == "flux: not on PATH; load or install flux-core"
    assert re.search(r"Flux +\d+ cases  .* \(`exaworks install` builds it\)", done.stdout)


@pytest.mark.needs("slurm", "munge")
@pytest.mark.parametrize("selection", [("--case", "psij/hello@local"), ("--case", "control/hello@local")])
def test_no_testbed_is_started_for_cases_that_need_none(home: Home, selection: tuple[str, ...]) -> None:
    done = home.validate(*selection, "--no-upload")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "starting a throw-away" not in done.stdout
    assert not (home.folder / "testbeds").exists()
    assert {case_id.partition("@")[2] for case_id in home.verdicts()} == {"local"}


@pytest.mark.needs("slurm", "munge")
def test_a_machine_with_a_scheduler_and_without_a_site_file_is_not_treated_as_a_workstation(home: Home) -> None:
    testbed = manage.up("slurm", home.folder, owner_pid=os.getpid())
    try:
        configuration = home.folder / "slurm.conf"
        configuration.write_bytes(Path(testbed.env["SLURM_CONF"]).read_bytes())
        environ = {**manage.environment(testbed, home.environ()), "SLURM_CONF": str(configuration)}
        command = [word for word in home.command("--no-upload") if word not in ("--site", "local/workstation")]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    finally:
        manage.down(home.folder, testbed.id)
    assert done.returncode == 2
    assert "slurm answers" in done.stderr
    assert "exaworks sites new" in done.stderr
    assert not (home.folder / "runs").exists()


@pytest.mark.needs("slurm", "munge")
def test_the_smoke_tier_of_psij_passes_on_local_and_slurm_and_is_uploaded(home: Home) -> None:
    done = home.validate("--tier", "smoke", "--component", "psij", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    assert printed["exit_code"] == 0
    assert printed["counts"]["pass"] == 4
    record = home.run().effective()["psij/hello@slurm"]
    assert record.scheduler.job_ids
    assert record.scheduler.outer is not None
    assert not record.scheduler.outer.emulated
    assert list((home.folder / "testbeds").glob("slurm-*/")) == []
    pushed = json.loads((home.run().private / "pushed.json").read_text())
    assert str(pushed).count("'acknowledged'") >= 1


def test_a_run_that_is_terminated_after_its_output_pipe_was_closed_has_a_record_of_every_case(home: Home) -> None:
    """This happens when a pipeline is cancelled: the reader of the output gets the same signal and may end first."""
    process = home.start("--scheduler", "local", "--component", "parsl", "--no-upload")
    assert process.stdout is not None
    assert any("control/hello" in line for line in process.stdout), "the control case did not finish"
    process.stdout.close()
    process.terminate()
    assert process.wait(60) == 130
    closed = home.run().manifest.closed
    assert closed is not None
    assert (closed.state, closed.missing, closed.exit_code) == ("interrupted", 0, 130)
    assert (home.run().path / "report.html").is_file()


def test_a_collector_that_already_runs_is_used_and_left_running(home: Home) -> None:
    cli = [sys.executable, "-I", "-m", "exaworks_sdk"]
    server = subprocess.Popen(
        [*cli, "collector", "serve", "--port", "0"],
        env=home.environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ready = home.folder / "collector" / "ready.json"
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        url = json.loads(ready.read_text())["url"]
        done = home.validate("--tier", "smoke", "--scheduler", "local", "--component", "psij")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"collector {url} has 2 of 2 records" in done.stdout
        assert server.poll() is None
    finally:
        server.terminate()
        server.wait(timeout=20)


def test_if_the_collector_is_killed_during_the_run_no_record_is_lost_or_stored_twice(home: Home) -> None:
    process = home.start("--tier", "smoke", "--scheduler", "local", "--component", "psij")
    assert process.stdout is not None
    first_lines = ""
    while "dashboard of this run" not in first_lines:
        line = process.stdout.readline()
        assert line, first_lines
        first_lines += line
    ready = home.folder / "collector" / "ready.json"
    os.kill(json.loads(ready.read_text())["pid"], signal.SIGKILL)
    output = first_lines + process.communicate(timeout=180)[0]
    assert process.returncode == 0, output
    assert "upload failed" in output
    assert "exaworks results push" in output
    run = home.run()
    assert home.verdicts()["psij/hello@local"] == ("pass", None)

    environ = {**home.environ(), "EXAWORKS_COLLECTOR_EPHEMERAL_TOKEN": "t" * 43, "EXAWORKS_COLLECTOR_TOKEN": "t" * 43}
    again = home.folder / "again.json"
    cli = [sys.executable, "-I", "-m", "exaworks_sdk"]
    server = subprocess.Popen(
        [*cli, "collector", "serve", "--port", "0", "--ready-file", str(again)],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not again.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        url = json.loads(again.read_text())["url"]
        for _ in range(2):
            push = subprocess.run(
                [*cli, "results", "push", "last", "--to", url], env=environ, capture_output=True, text=True, check=False
            )
            assert push.returncode == 0, push.stdout + push.stderr
        import requests

        stored = requests.get(f"{url}/api/v1/runs/{run.path.name}/records", timeout=10).json()
        records = stored["records"] if isinstance(stored, dict) else stored
        assert sorted(r["record_id"] for r in records) == sorted(r.record_id for r in run.records())
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.mark.needs("strace")
def test_a_validation_of_an_installed_release_without_upload_connects_only_to_loopback(home: Home) -> None:
    trace = home.folder / "trace"
    command = home.command("--tier", "smoke", "--component", "psij", "--component", "parsl", "--no-upload")
    command = [word for word in command if word not in ("--site", "local/workstation")]  # detection is part of it
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace), *command],
        env=home.environ(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = trace.read_text(errors="replace")
    addresses = set(re.findall(r'inet_addr\("([^"]+)"\)', text))
    addresses |= set(re.findall(r'inet_pton\(AF_INET6, "([^"]+)"', text))
    outside = {address for address in addresses if not re.fullmatch(r"(::ffff:)?127\..*|::1|0\.0\.0\.0|::", address)}
    assert "127.0.0.1" in addresses
    assert outside == set()


@pytest.mark.long
def test_cases_share_a_pool_of_workers_a_pilot_and_an_ensembles_pilot(home: Home) -> None:
    names = {
        **dict.fromkeys(["parsl/bash_app", "parsl/diamond", "parsl/exception", "parsl/join"], "parsl"),
        **dict.fromkeys(["radical.pilot/failing_task", "radical.pilot/raptor"], "radical.pilot"),
        **dict.fromkeys(["radical.entk/steering", "radical.entk/deepdrivemd"], "radical.entk"),
    }
    done = home.validate("--scheduler", "local", "--no-upload", *(f"--case={name}@local" for name in names))
    assert done.returncode == 0, done.stdout + done.stderr
    records = [record for record in home.run().records() if record.case.component != "control"]
    assert {record.case_id: record.extras.get("fixture") for record in records} == {
        f"{name}@local": f"fixture {fixture}@local" for name, fixture in names.items()
    }
    assert {record.retries.attempt for record in records} == {1}
    starts = list((home.run().private / "work").glob("fixture-*/*"))
    assert len(starts) == 3


def test_a_pool_without_workers_is_the_one_cause_of_the_cases_that_share_it(home: Home) -> None:
    pool = home.deployment / "bin" / "process_worker_pool.py"
    first, rest = pool.read_text().split("\n", 1)
    pool.unlink()  # a hard link: the release's own file must stay as it is
    pool.write_text(f"{first}\nraise SystemExit('no workers today')\n{rest}")
    pool.chmod(0o755)
    cases = ("--case=parsl/diamond@local", "--case=parsl/exception@local")
    done = home.validate("--scheduler", "local", "--no-upload", *cases)
    assert done.returncode == 1, done.stdout + done.stderr
    (cause,) = root_causes(record for record in home.run().records() if record.retries.final)
    assert {record.case_id for record in cause.records} == {"parsl/diamond@local", "parsl/exception@local"}
    assert {record.extras.get("fixture") for record in cause.records} == {"fixture parsl@local"}
    assert len(list((home.run().private / "work").glob("fixture-*/*"))) == 1
