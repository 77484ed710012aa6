"""The draft of a site file has the values that the machine reports, comments for the others, and loads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdk_tests.testbeds import processes
from sdk_tests.testbeds.slurm import SlurmTestbed
from site_configs.detect import matches
from site_configs.draft import draft, suggested_name
from site_configs.errors import SiteFileError
from site_configs.load import load_text
from site_configs.probes import command
from site_configs.probes.slurm import walltime
from site_configs.survey import Facts, answering, survey
from tests.site_configs.machine import BJOBS, BQUEUES, FLUX, LSID, QSTAT_JSON, SINFO, machine

SLURM = {"sinfo": SINFO, "srun": "#!/bin/sh\n"}


def test_partitions_become_queues_with_their_limits(tmp_path: Path) -> None:
    facts = survey(machine(tmp_path, SLURM), hostname="login03.box.lab.example")
    text = draft(facts)
    system = load_text(text, "draft")
    (slurm,) = system.schedulers
    queues = {queue.name: (queue.max_nodes, queue.max_walltime) for queue in slurm.queues}
    assert queues == {"debug": (4, "00:30:00"), "batch": (4, "48:00:00"), "shared": (1, None)}
    assert system.node.count == 4
    assert slurm.default_queue == "debug"
    assert slurm.multi_node_queue is None  # the default queue accepts jobs of several nodes
    assert slurm.version_family == "24.11"
    assert [launcher.name for launcher in slurm.launchers] == ["srun"]
    assert slurm.exclusive is False  # one partition shares its nodes
    assert (system.node.cores, system.node.memory_gb) == (128, 250)
    assert system.local.allowed is False
    assert "# gpus: Slurm reports gpu:a100:4" in text
    assert "not up when this was written" in text
    assert "all nodes of the queue; no lower limit is configured" in text
    assert "account_env" in text


def test_the_draft_is_recognised_on_the_machine_it_was_written_on(tmp_path: Path) -> None:
    facts = survey(machine(tmp_path, SLURM), hostname="login03.box.lab.example")
    system = load_text(draft(facts), "draft")
    assert system.detect.hosts == ["login*.box.lab.example"]
    assert matches(system.detect, "login11.box.lab.example", {})
    assert not matches(system.detect, "login11.other.lab.example", {})
    assert system.system == "lab/login"


def test_a_variable_that_names_the_machine_is_preferred_to_the_host_name(tmp_path: Path) -> None:
    variables = {"LMOD_SYSTEM_NAME": "Box One", "LMOD_CMD": "/opt/lmod", "LOADEDMODULES": "gcc/13:mpich/4"}
    facts = survey(machine(tmp_path, SLURM, **variables), hostname="node7")
    text = draft(facts)
    system = load_text(text, "draft")
    assert system.detect.environment == {"LMOD_SYSTEM_NAME": "Box One"}
    assert system.system == "my-site/box-one"
    assert system.modules.system == "lmod"
    assert "gcc/13, mpich/4" in text


def test_without_a_scheduler_the_draft_lists_the_missing_commands(tmp_path: Path) -> None:
    env = machine(tmp_path, {})
    facts = survey(env, hostname="bench")
    text = draft(facts, "lab/bench")
    system = load_text(text, "draft")
    assert system.schedulers == []
    for program in ("sinfo", "flux", "qstat", "bqueues"):
        assert f"no {program} on PATH" in text
    assert system.local.allowed is True
    assert system.local.cores == 0
    assert system.node.cores == os.cpu_count()  # no lscpu on that PATH either
    assert answering(env) == []


def test_flux_becomes_an_entry_with_its_queues_nodes_and_cores(tmp_path: Path) -> None:
    facts = survey(machine(tmp_path, {"flux": FLUX}), hostname="tuo1001")
    text = draft(facts)
    system = load_text(text, "draft")
    (flux,) = system.schedulers
    queues = {queue.name: (queue.max_nodes, queue.max_walltime) for queue in flux.queues}
    assert queues == {"pbatch": (256, "24:00:00"), "pdebug": (16, "01:00:00"), "pall": (1152, None)}
    assert (flux.kind, flux.default_queue, flux.version_family) == ("flux", "pbatch", "0.88")
    assert (system.node.count, system.node.cores) == (1152, 96)
    assert "- name: pall   # not up" in text


def test_pbs_becomes_an_entry_with_routes_and_the_limits_of_a_user(tmp_path: Path) -> None:
    text = draft(survey(machine(tmp_path, {"qstat": QSTAT_JSON, "mpiexec": "#!/bin/sh\n"}), hostname="box1"))
    (pbs,) = load_text(text, "draft").schedulers
    debug, prod, _ = pbs.queues
    assert (debug.max_nodes, debug.min_walltime, debug.max_walltime) == (2, "00:05:00", "01:00:00")
    assert (debug.max_running, debug.max_queued) == (1, 1)
    assert (prod.min_nodes, prod.max_nodes, prod.max_running) == (10, None, None)
    assert "# routes to small, large" in text
    assert "# kind: pals" in text
    assert pbs.default_queue == "debug"
    assert pbs.version_family == "23.06"


def test_lsf_becomes_an_entry_with_its_run_limits(tmp_path: Path) -> None:
    programs = {"bqueues": BQUEUES, "lsid": LSID, "bjobs": BJOBS, "jsrun": "#!/bin/sh\n"}
    text = draft(survey(machine(tmp_path, programs), hostname="box1"))
    (lsf,) = load_text(text, "draft").schedulers
    queues = {queue.name: (queue.max_nodes, queue.max_walltime) for queue in lsf.queues}
    assert queues == {"pdebug": (None, "02:00:00"), "pbatch": (None, "12:00:00")}
    assert (lsf.default_queue, lsf.version_family, lsf.dialect) == ("pdebug", "10.1", "csm")
    assert [launcher.name for launcher in lsf.launchers] == ["jsrun"]
    assert "counts job slots, not nodes" in text


def test_a_machine_with_two_schedulers_gets_both(tmp_path: Path) -> None:
    facts = survey(machine(tmp_path, {**SLURM, "flux": FLUX}), hostname="box1")
    assert [spec.kind for spec in load_text(draft(facts), "draft").schedulers] == ["slurm", "flux"]
    assert sorted(facts.absent) == ["lsf", "pbs"]


def test_a_flux_that_somebody_started_is_not_the_machines_own(tmp_path: Path) -> None:
    env = machine(tmp_path, {"flux": FLUX})
    assert answering(env) == ["flux"]
    assert answering({**env, "FLUX_URI": "local:///tmp/x/local-0"}) == []


def test_a_slurm_that_lists_partitions_answers(tmp_path: Path) -> None:
    assert answering(machine(tmp_path, SLURM)) == ["slurm"]


def test_a_slurm_that_fails_is_absent_with_its_own_message(tmp_path: Path) -> None:
    env = machine(tmp_path, {"sinfo": "#!/bin/sh\necho 'slurm_load_partitions: Unable to contact' >&2\nexit 1\n"})
    facts = survey(env, hostname="bench")
    assert facts.absent["slurm"] == "sinfo exited with 1: slurm_load_partitions: Unable to contact"
    assert facts.absent["slurm"] in draft(facts)
    assert answering(env) == []


def test_a_slurm_that_hangs_delays_the_survey_for_a_limited_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "COMMAND_SECONDS", 0.2)
    facts = survey(machine(tmp_path, {"sinfo": "#!/bin/sh\nexec sleep 60\n"}), hostname="bench")
    assert facts.absent["slurm"] == "sinfo did not answer in 0.2 s"


@pytest.mark.parametrize(
    "hostname",
    ["localhost", "login1", "nid001234", "a", "", "-3", "ÄÖ\U0001f600", "x.y.z", "1.2.3", "true", "tab\there"],
)
def test_any_host_name_gives_a_draft_that_loads(hostname: str) -> None:
    facts = Facts(hostname=hostname, variables={}, cores=4, architecture="x86_64")
    system = load_text(draft(facts), "draft")
    assert system.system == suggested_name(facts)


@pytest.mark.parametrize("hostname", ["localhost", "login1", "nid001234"])
def test_a_generic_host_name_does_not_become_a_pattern(hostname: str) -> None:
    facts = Facts(hostname=hostname, variables={}, cores=4, architecture="x86_64")
    assert load_text(draft(facts), "draft").detect.hosts == []


def test_a_name_without_a_site_is_refused() -> None:
    facts = Facts(hostname="x", variables={}, cores=4, architecture="x86_64")
    with pytest.raises(SiteFileError, match="SITE/SYSTEM"):
        draft(facts, "just-one-word")


@pytest.mark.parametrize(
    ("slurm", "expected"),
    [
        ("30:00", "00:30:00"),
        ("1:30:00", "01:30:00"),
        ("2-00:00:00", "48:00:00"),
        ("1-12:00:01", "36:00:01"),
        ("infinite", None),
        ("n/a", None),
        ("", None),
    ],
)
def test_slurms_time_limits_are_read_in_every_form(slurm: str, expected: str | None) -> None:
    assert walltime(slurm) == expected


@pytest.mark.needs("slurm", "munge")
def test_a_real_slurm_gives_a_draft_with_its_partitions(tmp_path: Path) -> None:
    kind = SlurmTestbed()
    folder = tmp_path / "testbed"
    folder.mkdir()
    testbed = kind.up(folder, 2, 2, processes.identify(os.getpid()))
    try:
        env = {**os.environ, **testbed.env}
        if "PATH+" in env:
            env["PATH"] = os.pathsep.join((env.pop("PATH+"), os.environ["PATH"]))
        assert answering(env) == []  # a testbed is not a scheduler of the machine itself
        facts = survey(env, hostname="testbed1")
        (slurm,) = load_text(draft(facts), "draft").schedulers
    finally:
        kind.down(testbed)
    assert [queue.name for queue in slurm.queues] == [queue.name for queue in testbed.scheduler.queues]
    assert slurm.default_queue == testbed.scheduler.default_queue
    assert max(queue.max_nodes or 0 for queue in slurm.queues) == 2
    assert slurm.launchers[0].name == "srun"
    assert slurm.version_family is not None
    assert (testbed.version or "").find(slurm.version_family) >= 0
