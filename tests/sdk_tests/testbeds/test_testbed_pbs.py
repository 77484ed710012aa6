"""The PBS testbed is real if OpenPBS is installed, otherwise emulated; both enforce the limits of a site."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdk_tests.errors import TestbedError
from sdk_tests.testbeds import Testbed, manage, openpbs, openpbs_conf, processes
from sdk_tests.testbeds.site_profile import queues
from site_configs.schema import Queue, SchedulerSpec, Step

SPEC = SchedulerSpec(
    kind="pbs",
    queues=[
        Queue(name="debug", max_nodes=2, min_walltime="00:05:00", max_walltime="01:00:00", max_queued=1),
        Queue(name="prod", min_nodes=10, steps=[Step(nodes=24, max_walltime="03:00:00")], max_walltime="06:00:00"),
    ],
    default_queue="debug",
)


class RejectedError(Exception):
    """Raised in place of a rejection by PBS."""


def run_hook(monkeypatch: pytest.MonkeyPatch, text: str, account: str | None, queue: str, **requested: object) -> None:
    """Run the hook as the server of PBS does, with a replacement of its ``pbs`` module."""

    def reject(message: str) -> None:
        raise RejectedError(message)

    resources = dict.fromkeys(("select", "nodes", "walltime", "filesystems")) | requested
    job = types.SimpleNamespace(Account_Name=account, Resource_List=resources, queue=queue)
    module = types.ModuleType("pbs")
    module.event = lambda: types.SimpleNamespace(job=job, reject=reject)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pbs", module)
    exec(compile(text, "rules.py", "exec"), {})  # our own text, as PBS runs it


@pytest.mark.parametrize(
    ("account", "queue", "requested", "message"),
    [
        ("a1", "prod", {"select": "24:ncpus=1", "walltime": 10800, "filesystems": "home"}, None),
        ("a1", "prod", {"select": "25:ncpus=1", "walltime": 10860, "filesystems": "home"}, None),
        ("a1", "prod", {"select": "12:ncpus=1+12:ncpus=2", "walltime": 10860, "filesystems": "home"}, "violates"),
        ("a2", "", {"select": "1", "walltime": 600, "filesystems": "home"}, "account 'a2'"),
        (None, "debug", {"select": "1", "walltime": 600, "filesystems": "home"}, "account 'None'"),
        ("a1", "debug", {"select": "1", "walltime": 600}, "filesystems is required"),
    ],
)
def test_the_hook_rejects_what_queue_limits_cannot_express(
    monkeypatch: pytest.MonkeyPatch, account: str | None, queue: str, requested: dict[str, object], message: str | None
) -> None:
    text = openpbs_conf.hook(["a1"], ["filesystems"], queues(SPEC), "debug")
    if message is None:
        run_hook(monkeypatch, text, account, queue, **requested)
        return
    with pytest.raises(RejectedError, match=message):
        run_hook(monkeypatch, text, account, queue, **requested)


def test_limits_that_pbs_supports_are_attributes_of_its_queues() -> None:
    lines = list(openpbs_conf.commands(["n1", "n2"], 32, 4, queues(SPEC), "debug", ()))
    for line in (
        "set queue debug resources_max.nodect = 2",
        "set queue debug resources_min.walltime = 300",
        "set queue debug resources_max.walltime = 3600",
        'set queue debug max_queued = "[u:PBS_GENERIC=1]"',
        "set queue prod resources_min.nodect = 10",
        "set node n2 resources_available.ncpus = 32",
        "set node n2 resources_available.ngpus = 4",
        "set server default_queue = debug",
    ):
        assert line in lines
    assert not any("prod" in line and "max_queued" in line for line in lines)


def test_without_openpbs_the_testbed_is_emulated_and_marked_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PBS_EXEC", str(tmp_path / "nowhere"))
    assert "PBS_EXEC" in str(openpbs.OpenPbsTestbed().absent())
    testbed = manage.up("pbs", tmp_path, nodes=1, cores=2, owner_pid=os.getpid())
    assert (testbed.kind, testbed.scheduler.emulated) == ("pbs", True)
    manage.down(tmp_path, testbed.id)
    assert not any(map(processes.alive, testbed.daemons))


@pytest.mark.needs("openpbs")
def test_the_emulator_can_be_started_although_openpbs_is_installed(tmp_path: Path) -> None:
    testbed = manage.up("pbs-emulated", tmp_path, nodes=1, cores=2, owner_pid=os.getpid())
    assert (testbed.kind, testbed.scheduler.emulated) == ("pbs", True)
    manage.down(tmp_path, testbed.id)
    assert not any(map(processes.alive, testbed.daemons))


@pytest.mark.needs("openpbs")
def test_a_stopped_openpbs_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    testbed = manage.up("pbs", tmp_path, nodes=2, cores=2, owner_pid=os.getpid())
    assert not testbed.scheduler.emulated
    base, space = Path(testbed.extras["base"]), testbed.extras["namespace"]
    names = {daemon.name for daemon in processes.in_namespace("mnt", space)}
    assert {"pbs_comm", "pbs_server.bin", "pbs_sched", "pbs_mom", "postgres"} <= names
    manage.down(tmp_path, testbed.id)
    assert processes.in_namespace("mnt", space) == []
    assert not base.exists()
    port = openpbs_conf.database_port(base)
    assert [path for folder in openpbs.SOCKETS for path in folder.glob(f".s.PGSQL.{port}*")] == []


HABITAT = """#!/bin/sh
echo x >> {folder}/tries
[ "$(wc -l < {folder}/tries)" -ge {succeeds} ] && exit 0
echo "{message}"
exit 1
"""


@pytest.mark.parametrize(
    ("message", "succeeds", "tries", "raised"),
    [
        ("Error creating PBS datastore", 2, 2, False),
        ("Error starting PBS Data Service", 3, 3, False),
        ("Error creating PBS datastore", 9, 3, True),
        ("no space left on device", 2, 1, True),
    ],
)
def test_a_database_that_does_not_answer_in_time_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, succeeds: int, tries: int, raised: bool
) -> None:
    (tmp_path / "libexec").mkdir()
    (tmp_path / "log").mkdir()
    program = tmp_path / "libexec" / "pbs_habitat"
    program.write_text(HABITAT.format(folder=tmp_path, succeeds=succeeds, message=message))
    program.chmod(0o755)
    monkeypatch.setattr(openpbs, "inside", lambda testbed: [])
    monkeypatch.setattr(openpbs, "environ", lambda testbed: {"PATH": os.environ["PATH"]})
    testbed = types.SimpleNamespace()
    if raised:
        with pytest.raises(TestbedError, match=message):
            openpbs.create_home(testbed, tmp_path, tmp_path)  # type: ignore[arg-type]
    else:
        openpbs.create_home(testbed, tmp_path, tmp_path)  # type: ignore[arg-type]
    assert len((tmp_path / "tries").read_text().splitlines()) == tries


def test_testbeds_of_different_names_share_no_name_and_no_folder() -> None:
    one, other = Path("/run/exaworks-pbs-000001"), Path("/run/exaworks-pbs-000002")
    assert openpbs_conf.server_name(one) == "pbs-000001"
    assert openpbs_conf.server_name(one) != openpbs_conf.server_name(other)
    for text in (openpbs_conf.mom_config(one, "n1"), openpbs_conf.configuration(Path("/opt/pbs"), one)):
        assert "pbs-000001" in text
        assert "pbs-000002" not in text
    assert "$tmpdir /run/exaworks-pbs-000001/n1/tmp\n" in openpbs_conf.mom_config(one, "n1")


def wait_until_written(path: Path, text: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists() or path.read_text() != text:
        assert time.monotonic() < deadline, f"{path} did not contain {text!r} within {seconds:g} s"
        time.sleep(0.1)


def submit(testbed: Testbed, folder: Path) -> str:
    """Submit a job that keeps a file in its temporary folder until ``folder/go`` exists; return its id."""
    folder.mkdir()
    script = folder / "job.sh"
    script.write_text(
        f"#!/bin/sh\ncd {folder} || exit 1\necho {testbed.id} > $TMPDIR/kept\nprintf %s $TMPDIR > started\n"
        "while [ ! -e go ]; do sleep 0.1; done\ncat $TMPDIR/kept > result\n"
    )
    argv = ["qsub", "-o", str(folder / "out"), "-e", str(folder / "err"), str(script)]
    env = manage.environment(testbed, dict(os.environ))
    return subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.needs("openpbs")
@pytest.mark.slow
def test_jobs_of_the_same_number_in_two_openpbs_testbeds_keep_their_files_and_results(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as both:
        start = [both.submit(manage.up, "pbs", tmp_path, nodes=1, cores=2, owner_pid=os.getpid()) for _ in range(2)]
        first, second = (started.result() for started in start)
    try:
        folders = [tmp_path / testbed.id / "job" for testbed in (first, second)]
        for folder in folders:
            folder.parent.mkdir()
        ids = [submit(testbed, folder) for testbed, folder in zip((first, second), folders, strict=True)]
        assert [job.partition(".")[0] for job in ids] == ["0", "0"]
        assert ids == [f"0.{first.id}", f"0.{second.id}"]
        temporary = [
            Path(testbed.extras["base"], "n1", "tmp", f"pbs.{job}")
            for testbed, job in zip((first, second), ids, strict=True)
        ]
        for folder, expected in zip(folders, temporary, strict=True):
            wait_until_written(folder / "started", str(expected))
        (folders[0] / "go").touch()
        wait_until_written(folders[0] / "result", f"{first.id}\n")
        manage.down(tmp_path, first.id)  # with everything that belongs to the first one
        (folders[1] / "go").touch()
        wait_until_written(folders[1] / "result", f"{second.id}\n")
    finally:
        for testbed in manage.all_testbeds(tmp_path):
            manage.down(tmp_path, testbed.id)
    for testbed in (first, second):
        assert not Path(testbed.extras["base"]).exists()
