"""Drafting a site file: what the machine says is in it, what it does not say is a comment, and the draft loads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdk_tests.testbeds import processes
from sdk_tests.testbeds.slurm import SlurmTestbed
from site_configs import survey as survey_module
from site_configs.detect import matches
from site_configs.draft import draft, suggested_name
from site_configs.errors import SiteFileError
from site_configs.load import load_text
from site_configs.survey import Facts, answering, survey, walltime

SINFO = """\
#!/bin/sh
if [ "$1" = --version ]; then echo "slurm 24.11.5"; exit 0; fi
cat <<END
debug*|up|30:00|1-4|16|128+|257000+|gpu:a100:4|EXCLUSIVE
batch|up|2-00:00:00|1-infinite|1000|128|257000|gpu:a100:4|EXCLUSIVE
batch|up|2-00:00:00|1-infinite|24|64|515000|(null)|EXCLUSIVE
shared|down|infinite|1|8|128|257000|(null)|YES:4
END
"""


def environment(folder: Path, sinfo: str | None, **variables: str) -> dict[str, str]:
    """Return an environment whose PATH has these programs and the system's."""
    programs = folder / "bin"
    programs.mkdir()
    if sinfo is not None:
        for name, text in (("sinfo", sinfo), ("srun", "#!/bin/sh\n")):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
    return {"PATH": f"{programs}:/bin" if sinfo is not None else str(programs), **variables}


def test_partitions_become_queues_with_their_limits(tmp_path: Path) -> None:
    facts = survey(environment(tmp_path, SINFO), hostname="login03.box.lab.example")
    text = draft(facts)
    system = load_text(text, "draft")
    (slurm,) = system.schedulers
    queues = {queue.name: (queue.max_nodes, queue.max_walltime) for queue in slurm.queues}
    assert queues == {"debug": (4, "00:30:00"), "batch": (1024, "48:00:00"), "shared": (1, None)}
    assert slurm.default_queue == "debug"
    assert slurm.multi_node_queue is None  # the default takes several
    assert slurm.version_family == "24.11"
    assert [launcher.name for launcher in slurm.launchers] == ["srun"]
    assert slurm.exclusive is False  # one partition shares its nodes
    assert (system.node.cores, system.node.memory_gb) == (128, 250)
    assert system.local.allowed is False
    assert "# gpus: Slurm says gpu:a100:4" in text
    assert "not up when this was written" in text
    assert "as many as it has; no lower limit is configured" in text
    assert "account_env" in text


def test_the_draft_is_recognised_on_the_machine_it_was_written_on(tmp_path: Path) -> None:
    facts = survey(environment(tmp_path, SINFO), hostname="login03.box.lab.example")
    system = load_text(draft(facts), "draft")
    assert system.detect.hosts == ["login*.box.lab.example"]
    assert matches(system.detect, "login11.box.lab.example", {})
    assert not matches(system.detect, "login11.other.lab.example", {})
    assert system.system == "lab/login"


def test_a_variable_that_names_the_machine_is_preferred_to_the_host_name(tmp_path: Path) -> None:
    variables = {"LMOD_SYSTEM_NAME": "Box One", "LMOD_CMD": "/opt/lmod", "LOADEDMODULES": "gcc/13:mpich/4"}
    facts = survey(environment(tmp_path, SINFO, **variables), hostname="node7")
    text = draft(facts)
    system = load_text(text, "draft")
    assert system.detect.environment == {"LMOD_SYSTEM_NAME": "Box One"}
    assert system.system == "my-site/box-one"
    assert system.modules.system == "lmod"
    assert "gcc/13, mpich/4" in text


def test_without_slurm_the_draft_says_what_was_looked_for(tmp_path: Path) -> None:
    facts = survey(environment(tmp_path, None), hostname="bench")
    text = draft(facts, "lab/bench")
    system = load_text(text, "draft")
    assert system.schedulers == []
    assert "# no sinfo on PATH" in text
    assert system.local.allowed is True
    assert system.local.cores == 0
    assert system.node.cores == os.cpu_count()  # no lscpu on that PATH either
    assert answering(environment(tmp_path / "bin", None)) == []


def test_a_slurm_that_lists_partitions_answers(tmp_path: Path) -> None:
    assert answering(environment(tmp_path, SINFO)) == ["slurm"]


def test_a_slurm_that_refuses_is_told_apart_from_none(tmp_path: Path) -> None:
    env = environment(tmp_path, "#!/bin/sh\necho 'slurm_load_partitions: Unable to contact' >&2\nexit 1\n")
    facts = survey(env, hostname="bench")
    assert facts.no_slurm == "sinfo exited with 1: slurm_load_partitions: Unable to contact"
    assert facts.no_slurm in draft(facts)
    assert answering(env) == []


def test_a_slurm_that_hangs_holds_the_survey_up_for_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey_module, "COMMAND_SECONDS", 0.2)
    facts = survey(environment(tmp_path, "#!/bin/sh\nexec sleep 60\n"), hostname="bench")
    assert facts.no_slurm == "sinfo did not answer in 0.2 s"


@pytest.mark.parametrize(
    "hostname",
    ["localhost", "login1", "nid001234", "a", "", "-3", "ÄÖ\U0001f600", "x.y.z", "1.2.3", "true", "tab\there"],
)
def test_any_host_name_gives_a_draft_that_loads(hostname: str) -> None:
    facts = Facts(hostname=hostname, variables={}, cores=4, architecture="x86_64", no_slurm="no sinfo on PATH")
    system = load_text(draft(facts), "draft")
    assert system.system == suggested_name(facts)


@pytest.mark.parametrize("hostname", ["localhost", "login1", "nid001234"])
def test_a_host_name_that_half_the_world_has_is_not_made_a_pattern(hostname: str) -> None:
    facts = Facts(hostname=hostname, variables={}, cores=4, architecture="x86_64", no_slurm="no sinfo on PATH")
    assert load_text(draft(facts), "draft").detect.hosts == []


def test_a_name_that_is_no_name_is_refused() -> None:
    facts = Facts(hostname="x", variables={}, cores=4, architecture="x86_64", no_slurm="no sinfo on PATH")
    with pytest.raises(SiteFileError, match="SITE/SYSTEM"):
        draft(facts, "just-one-word")


@pytest.mark.parametrize(
    ("slurm", "ours"),
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
def test_slurms_time_limits_are_read_in_every_form(slurm: str, ours: str | None) -> None:
    assert walltime(slurm) == ours


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
        assert answering(env) == []  # it is no scheduler of this machine's own
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
