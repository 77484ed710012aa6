"""Tests of rehearsals: the testbed has the system's profile, and results are marked as results of a rehearsal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sdk_tests.rehearsal.checks import Check, launchers, limits
from sdk_tests.rehearsal.rehearsal import Rehearsal, rehearsal_system, report
from sdk_tests.schedulers.slurm import SlurmKind
from sdk_tests.testbeds import manage
from sdk_tests.testbeds.site_profile import SiteProfile
from sdk_tests.testbeds.slurm_conf import partitions, submit_filter
from site_configs.load import load_text, systems
from site_configs.schema import System
from tests.needs import NEEDS

ROOT = Path(__file__).resolve().parents[3]
SLURM = """
system: test/big
description: A machine for tests
schedulers:
  - kind: slurm
    queues:
      - {name: debug, partition: batch, qos: debug, max_nodes: 2, max_walltime: 00:30:00}
      - {name: batch, max_nodes: 100, max_walltime: 12:00:00, steps: [{nodes: 1, max_walltime: 02:00:00}]}
      - {name: long, min_nodes: 2, max_nodes: 64, min_walltime: 01:00:00, max_walltime: 24:00:00}
    default_queue: debug
    multi_node_queue: debug
    account_env: TEST_REHEARSAL_ACCOUNT
    directives: [-S 8, --constraint=cpu, "--licenses=scratch,home"]
    launchers: [{name: srun}]
    exclusive: true
node: {cores: 64, usable_cores: 56, gpus: 4}
extras: {node_names: "nid0{n}"}
"""
PBS = """
system: test/small
description: A machine for tests
state: retired
schedulers:
  - kind: pbs
    queues: [{name: debug, max_nodes: 1, min_walltime: 00:05:00, max_walltime: 00:30:00, max_queued: 1}]
    default_queue: debug
    account_env: TEST_REHEARSAL_ACCOUNT
    directives: ["-l filesystems=home"]
    launchers: [{name: mpiexec, kind: pals, flags: [--cpu-bind=depth]}]
    exclusive: true
  - {kind: flux, nested: true, within: pbs, start: [flux, start], modules: [not-here]}
node: {cores: 64}
deployment: module:not-here
promises: [psij]
"""


def test_queues_on_one_partition_become_a_partition_with_the_widest_limits() -> None:
    system = load_text(SLURM, "a test")
    assert partitions(system.schedulers[0]) == {
        "batch": "Default=YES MinNodes=1 MaxNodes=100 MaxTime=720",
        "long": "Default=NO MinNodes=2 MaxNodes=64 MaxTime=1440",
    }


def test_limits_by_qos_and_size_are_in_the_submit_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    system = load_text(SLURM, "a test")
    monkeypatch.setenv("TEST_REHEARSAL_ACCOUNT", "a1")
    text = submit_filter(SiteProfile(system, system.schedulers[0]))
    assert (
        'name="debug", partition="batch", qos="debug", least=1, most=2, shortest=0, longest={{1073741824, 30}}' in text
    )
    assert (
        'name="batch", partition="batch", qos=nil, least=1, most=100, shortest=0, longest={{1, 120}, {1073741824, 720}}'
        in text
    )
    assert "if true and job.account == nil" in text


@pytest.mark.needs("slurm", "munge")
def test_a_real_slurm_has_the_systems_nodes_and_enforces_its_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_REHEARSAL_ACCOUNT", "a1")
    system = load_text(SLURM, "a test")
    home = tmp_path / "home"
    testbed = manage.up(
        "slurm", home, nodes=2, owner_pid=os.getpid(), profile=SiteProfile(system, system.schedulers[0])
    )
    try:
        kind = SlurmKind(testbed.scheduler, manage.environment(testbed, dict(os.environ)))
        probe = kind.probe()
        assert (probe.nodes, set(probe.queues)) == (("nid01", "nid02"), {"batch", "long"})
        assert probe.details["cores"] == {"nid01": 64, "nid02": 64}
        assert not testbed.scheduler.emulated
        checks = {check.what: check for check in limits(kind, tmp_path, 2, "a1")}
        assert set(checks) == {
            *("debug: 3 nodes", "debug: 1860 s on 1 nodes", "batch: 101 nodes", "batch: 7260 s on 1 nodes"),
            *("long: 65 nodes", "long: 86460 s on 2 nodes", "long: 1 nodes, too few"),
        }
        assert [check for check in checks.values() if not check.passed] == []
        (launched,) = launchers(kind, tmp_path, 2, "a1")
        assert launched.passed, launched.answer
        assert sorted(launched.answer.split(", ")) == ["nid01", "nid02"]
    finally:
        manage.down(home, testbed.id)


def test_a_rehearsal_has_another_name_and_omits_what_exists_only_on_the_machine() -> None:
    system = load_text(PBS, "a test")
    rehearsed_system = rehearsal_system(system, system.schedulers)
    assert (rehearsed_system.system, rehearsed_system.state.value) == ("rehearsal/test-small", "active")
    assert (rehearsed_system.promises, rehearsed_system.deployment, rehearsed_system.collector.url) == ([], None, None)
    assert rehearsed_system.schedulers == system.schedulers
    assert rehearsed_system.node == system.node


@pytest.mark.parametrize("system", systems(), ids=lambda system: system.system)
def test_every_site_file_can_be_rehearsed(system: System) -> None:
    rehearsed_system = rehearsal_system(system, [spec for spec in system.schedulers if not spec.nested])
    again = load_text(msgspec.json.encode(rehearsed_system).decode(), "the rehearsal")
    assert again == rehearsed_system


def test_the_report_states_what_failed_what_is_absent_and_what_it_does_not_prove() -> None:
    skipped = {"case_id": "x/y@pbs", "outcome": "skip", "cause": {"evidence": "no `x` on PATH"}}
    summary = {"counts": {"pass": 2, "skip": 1}, "cases": [skipped]}
    refused = Check("debug: 3 nodes", True, "refused")
    accepted = Check("q: 9 nodes", False, "accepted as job 7")
    passed = Rehearsal("a/b", ["pbs"], emulated=True, checks=[refused], exit_code=0, summary=summary)
    failed = Rehearsal("c/d", ["lsf"], emulated=True, checks=[accepted], exit_code=0)
    absent = Rehearsal("e/f", ["flux"], absent="flux: not on PATH")
    assert (passed.code, failed.code, absent.code) == (0, 1, 3)
    assert failed.as_dict()["checks"] == [{"what": "q: 9 nodes", "passed": False, "answer": "accepted as job 7"}]
    text = report([passed, failed, absent])
    for line in ("a/b: skip x/y@pbs: no `x` on PATH", "c/d: FAILED q: 9 nodes: accepted as job 7"):
        assert line in text
    assert "e/f: cannot be rehearsed here: flux: not on PATH" in text
    assert "emulated" in text
    assert "It does not prove" in text


def rehearsed(tmp_path: Path, path: str, *cases: str) -> dict[str, Any]:
    """Rehearse the small system and return its result from the JSON output."""
    sites = tmp_path / "sites"
    (sites / "test").mkdir(parents=True)
    (sites / "test" / "small.yaml").write_text(PBS)
    argv = [sys.executable, "-m", "exaworks_sdk", "rehearse", "test/small", "--json"]
    argv += ["--deployment", f"venv:{sys.prefix}", *(word for case in cases for word in ("--case", case))]
    env = {"EXAWORKS_HOME": str(tmp_path / "home"), "EXAWORKS_SITES": str(sites), "PYTHONPATH": str(ROOT), "PATH": path}
    done = subprocess.run(argv, env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any]
    (result,) = json.loads(done.stdout)
    return result


def test_rehearse_runs_the_plan_of_a_retired_system_and_stops_its_testbeds(tmp_path: Path) -> None:
    path = [part for part in os.environ["PATH"].split(os.pathsep) if not Path(part, "flux").exists()]
    result = rehearsed(tmp_path, os.pathsep.join(path), "control/*")
    home = tmp_path / "home"
    emulated = NEEDS["openpbs"].find() is None
    facts = (result["system"], result["schedulers"], result["emulated"], result["retired"])
    assert facts == ("test/small", ["pbs"], emulated, True)
    assert result["left_out"] == ["pbs+flux: flux: not on PATH; load or install flux-core"]
    assert [check["what"] for check in result["checks"] if not check["passed"]] == []
    assert {"debug: 2 nodes", "debug: 1860 s on 1 nodes"} < {check["what"] for check in result["checks"]}
    summary = result["summary"]
    assert (summary["site"], summary["system"], summary["counts"]["pass"]) == ("rehearsal", "test-small", 1)
    assert summary["cases"][0]["emulated"] == emulated
    assert '"loopback": true' in summary["cases"][0]["reproduce"]  # the request states that the nodes are no real hosts
    assert manage.all_testbeds(home) == []
    (file,) = home.glob("rehearsals/*/report.txt")
    (row,) = (line for line in file.read_text().splitlines() if line.startswith("test/small (retired)"))
    assert ("emulated" in row) == emulated


@pytest.mark.slow
@pytest.mark.needs("flux")
def test_a_nested_flux_is_rehearsed_inside_the_testbed_of_the_outer_scheduler(tmp_path: Path) -> None:
    result = rehearsed(tmp_path, os.environ["PATH"], "control/*")
    assert result["schedulers"] == ["pbs", "pbs+flux"]
    outcomes = {case["case_id"]: case["outcome"] for case in result["summary"]["cases"]}
    assert outcomes == {"control/hello@pbs": "pass", "control/hello@pbs+flux": "pass"}
    assert manage.all_testbeds(tmp_path / "home") == []
