"""``exaworks validate`` as a user runs it, on the release's real components, and with parts broken on purpose."""

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

from dashboard_client.runs import RunFolder
from sdk_tests.testbeds import manage
from tests.needs import need, program

pytestmark = [pytest.mark.needs("components"), pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[3]


class Home:
    """A state folder of its own, with a copy of the release's deployment made of hard links."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        made = Path(str(need("components")))
        self.deployment = folder / "deployments" / made.name
        self.deployment.parent.mkdir(parents=True)
        subprocess.run(["cp", "-al", str(made), str(self.deployment)], check=True)

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
        found = {}
        for case_id, record in self.run().effective().items():
            cause = record.verdict.cause
            found[case_id] = (record.verdict.outcome.value, cause.rule if cause else None)
        return found

    def metadata(self, distribution: str) -> Path:
        (found,) = self.deployment.glob(f"lib/python3*/site-packages/{distribution}-*.dist-info")
        return found


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_a_component_that_the_release_promises_and_is_gone_fails(home: Home) -> None:
    shutil.rmtree(home.metadata("parsl"))
    done = home.validate("--tier", "smoke", "--scheduler", "local", "--component", "parsl", "--no-upload")
    assert done.returncode == 1, done.stdout + done.stderr
    verdicts = home.verdicts()
    assert {v for k, v in verdicts.items() if k.startswith("parsl/")} == {("fail", "promised-absent")}
    assert verdicts["control/hello@local"] == ("pass", None)
    assert "FAIL" in done.stdout
    assert "release 2026.11 promises parsl" in done.stdout


def test_a_component_of_another_version_fails_and_names_both(home: Home) -> None:
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


def test_a_component_that_is_there_but_does_not_import_fails_as_the_distributions_fault(home: Home) -> None:
    package = home.metadata("psij_python").parent / "psij" / "__init__.py"
    package.unlink()
    package.write_text("import a_module_that_was_not_packaged\n")
    done = home.validate("--tier", "smoke", "--scheduler", "local", "--component", "psij", "--no-upload")
    assert done.returncode == 1, done.stdout + done.stderr
    assert home.verdicts()["psij/hello@local"] == ("fail", "import-failed")
    assert "a_module_that_was_not_packaged" in done.stdout


def test_without_slurm_its_cells_are_skips_that_say_what_to_install(home: Home) -> None:
    """Where Slurm is installed, its controller is hidden in a mount namespace of this test's own."""
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


def test_without_flux_its_cells_are_skips_that_say_what_to_install(home: Home) -> None:
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
    assert "flux: not on PATH; install or load flux-core" in done.stdout
    assert "no `flux` on PATH of deployment" in done.stdout


@pytest.mark.needs("slurm", "munge")
def test_a_machine_with_a_scheduler_that_no_site_file_describes_is_not_taken_for_a_laptop(home: Home) -> None:
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
def test_the_smoke_tier_of_psij_passes_on_local_and_slurm_and_reaches_the_collector(home: Home) -> None:
    done = home.validate("--tier", "smoke", "--component", "psij", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["exit_code"] == 0
    assert said["counts"]["pass"] == 4
    record = home.run().effective()["psij/hello@slurm"]
    assert record.scheduler.job_ids
    assert record.scheduler.outer is not None
    assert not record.scheduler.outer.emulated
    assert list((home.folder / "testbeds").glob("slurm-*/")) == []
    pushed = json.loads((home.run().private / "pushed.json").read_text())
    assert str(pushed).count("'acknowledged'") >= 1


def test_a_run_whose_reader_has_left_is_stopped_with_a_record_of_every_case(home: Home) -> None:
    """As when a pipeline is cancelled: what reads the output is ended by the same signal, and may be gone first."""
    process = home.start("--scheduler", "local", "--component", "parsl", "--no-upload")
    assert process.stdout is not None
    assert any("control/hello" in line for line in process.stdout), "the others need seconds from here on"
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


def test_a_collector_killed_mid_upload_loses_and_doubles_nothing(home: Home) -> None:
    process = home.start("--tier", "smoke", "--scheduler", "local", "--component", "psij")
    assert process.stdout is not None
    said = ""
    while "dashboard of this run" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    ready = home.folder / "collector" / "ready.json"
    os.kill(json.loads(ready.read_text())["pid"], signal.SIGKILL)
    output = said + process.communicate(timeout=180)[0]
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
def test_a_warm_validation_without_upload_connects_to_loopback_alone(home: Home) -> None:
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
    seen = set(re.findall(r'inet_addr\("([^"]+)"\)', text))
    seen |= set(re.findall(r'inet_pton\(AF_INET6, "([^"]+)"', text))
    outside = {address for address in seen if not re.fullmatch(r"(::ffff:)?127\..*|::1|0\.0\.0\.0|::", address)}
    assert "127.0.0.1" in seen
    assert outside == set()
