"""A private Slurm starts, is isolated, and leaves no trace, however its owner ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sdk_tests.errors import TestbedError
from sdk_tests.testbeds import Testbed, manage, processes, record, slurm, slurm_conf
from site_configs.load import load_file
from tests.waiting import wait_until

pytestmark = pytest.mark.needs("slurm", "munge")
NOBODY = 65534


@pytest.fixture
def home() -> Iterator[Path]:
    """A home whose testbeds are stopped after every test; afterwards no process may refer to it.

    Its path is short, so that a testbed fits into it; the folders of pytest have too long paths.
    """
    folder = Path(tempfile.mkdtemp(prefix="testbed-", dir="/tmp"))
    yield folder
    for testbed in manage.all_testbeds(folder):
        manage.down(folder, testbed.id)
    assert traces(str(folder)) == []
    shutil.rmtree(folder)


def traces(folder: str) -> list[str]:
    """Return the processes with the folder in their command line or environment, except us and our parent."""
    matches = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (os.getpid(), os.getppid()):
            continue
        try:
            content = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
            comm = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if folder.encode() in content:
            matches.append(f"{entry.name} {comm}")
    return matches


def run(testbed: Testbed, *argv: str, limit: float = 30.0) -> subprocess.CompletedProcess[str]:
    env = manage.environment(testbed, {k: v for k, v in os.environ.items() if not k.startswith("SLURM")})
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=limit, check=False)


def script(folder: Path, body: str) -> str:
    path = folder / "job.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    return str(path)


def ports(testbed: Testbed) -> list[int]:
    return [int(port) for port in testbed.extras["ports"].split()]


def removed(testbed: Testbed) -> bool:
    return (
        not testbed.folder.exists()
        and not Path(testbed.extras["base"]).exists()
        and traces(str(testbed.folder)) + traces(testbed.extras["base"]) == []
        and processes.listening(ports(testbed)) == set()
    )


def test_a_testbed_starts_with_idle_nodes_and_a_site_file(home: Path) -> None:
    testbed = manage.up("slurm", home, nodes=3, cores=5)
    listed = run(testbed, "sinfo", "-h", "-N", "-o", "%N %T %c %P").stdout.split("\n")[:-1]
    assert listed == [f"n{n} idle 5 debug*" for n in (1, 2, 3)]
    assert testbed.version
    assert manage.alive(testbed)
    assert manage.load(home, testbed.id) == testbed

    system = load_file(testbed.folder / "system.yaml")
    assert system.system == f"local/{testbed.id}"
    assert system.schedulers == [testbed.scheduler]
    assert system.schedulers[0].queues[0].max_nodes == 3


def test_two_tasks_of_a_step_run_on_two_nodes(home: Path) -> None:
    testbed = manage.up("slurm", home)
    done = run(testbed, "srun", "-N2", "-n2", "sh", "-c", "echo $SLURMD_NODENAME")
    assert sorted(done.stdout.split()) == ["n1", "n2"], done.stderr


def test_small_jobs_share_a_node(home: Path) -> None:
    testbed = manage.up("slurm", home, nodes=1, cores=4)
    for _ in range(4):
        assert run(testbed, "sbatch", "-o", "/dev/null", script(home, "sleep 60")).returncode == 0
    wait_until(lambda: run(testbed, "squeue", "-h", "-o", "%T").stdout.split() == ["RUNNING"] * 4)


def test_two_testbeds_at_the_same_time_are_independent(home: Path) -> None:
    one, other = manage.up("slurm", home), manage.up("slurm", home, nodes=1)
    assert run(one, "sbatch", "-o", "/dev/null", script(home, "sleep 60")).returncode == 0
    assert run(other, "squeue", "-h").stdout == ""
    manage.down(home, one.id)
    assert removed(one)
    assert manage.alive(other)
    assert run(other, "sinfo", "-h", "-o", "%T").stdout.split() == ["idle"]


def test_down_ends_jobs_that_ignore_signals_and_hide(home: Path) -> None:
    testbed = manage.up("slurm", home)
    started = home / "started"
    hidden = f"trap '' TERM; touch {started}; sleep 300; sleep 300"
    body = f"""trap '' TERM
for name in $(env | sed -n 's/^\\(SLURM[A-Z_]*\\)=.*/\\1/p'); do unset $name; done
setsid sh -c {hidden!r} < /dev/null > /dev/null 2>&1 &
sleep 300"""
    assert run(testbed, "sbatch", "-o", "/dev/null", script(home, body)).returncode == 0
    wait_until(started.exists)
    manage.down(home, testbed.id)
    assert removed(testbed)


def test_down_can_be_called_twice_and_names_an_unknown_testbed(home: Path) -> None:
    testbed = manage.up("slurm", home, nodes=1)
    slurm.SlurmTestbed().down(testbed)
    slurm.SlurmTestbed().down(testbed)
    manage.down(home, testbed.id)
    assert removed(testbed)
    with pytest.raises(TestbedError, match=r"there is no testbed 'slurm-.*known testbeds: none"):
        manage.down(home, testbed.id)
    with pytest.raises(TestbedError, match="there is no testbed"):
        manage.load(home, "../" + home.name)


def test_down_ends_everything_after_slurmctld_was_killed(home: Path) -> None:
    testbed = manage.up("slurm", home)
    assert run(testbed, "sbatch", "-o", "/dev/null", script(home, "sleep 300")).returncode == 0
    wait_until(lambda: run(testbed, "squeue", "-h", "-o", "%T").stdout.split() == ["RUNNING"])
    (controller,) = [daemon for daemon in testbed.daemons if daemon.name == "slurmctld"]
    os.kill(controller.pid, signal.SIGKILL)
    wait_until(lambda: not processes.alive(controller))
    assert not manage.alive(testbed)
    assert manage.reap(home) == []  # damaged, but kept for diagnosis
    manage.down(home, testbed.id)
    assert removed(testbed)


OWNER = """
import sys, time
from pathlib import Path
from sdk_tests.testbeds import manage
import os
testbed = manage.up("slurm", Path(sys.argv[1]), owner_pid=os.getpid())
print(testbed.id, flush=True)
time.sleep(300)
"""


def test_a_testbed_whose_owner_was_killed_is_reaped_with_its_jobs(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(home)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        testbed = manage.load(home, owner.stdout.readline().strip())
        assert run(testbed, "sbatch", "-o", "/dev/null", script(home, "sleep 300")).returncode == 0
        wait_until(lambda: run(testbed, "squeue", "-h", "-o", "%T").stdout.split() == ["RUNNING"])
        assert manage.reap(home) == []
        owner.kill()
    assert manage.reap(home) == [testbed.id]
    assert removed(testbed)


DYING = """
import os, signal, sys
from pathlib import Path
from sdk_tests.testbeds import manage, processes
remaining = int(sys.argv[2])
def spawn(*arguments, real=processes.spawn):
    global remaining
    if remaining == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    remaining -= 1
    started = real(*arguments)
    if remaining == 0 and sys.argv[3] == "unrecorded":
        os.kill(os.getpid(), signal.SIGKILL)
    return started
processes.spawn = spawn
manage.up("slurm", Path(sys.argv[1]))
"""


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("when", ["recorded", "unrecorded"])
def test_a_testbed_whose_start_was_killed_is_reaped(home: Path, after: int, when: str) -> None:
    died = subprocess.run([sys.executable, "-c", DYING, str(home), str(after), when], check=False)
    assert died.returncode == -signal.SIGKILL
    (testbed,) = manage.all_testbeds(home)
    running = [one for one in traces(str(testbed.folder)) if "munged" in one or "slurm" in one]
    assert len(running) >= after, running
    assert manage.reap(home) == [testbed.id]
    assert removed(testbed)


def change_extras(testbed: Testbed, **extras: str) -> None:
    record.write(replace(testbed, extras={**testbed.extras, **extras}))


def test_a_testbed_of_another_host_with_the_same_home_is_not_changed(home: Path) -> None:
    testbed = manage.up("slurm", home, nodes=1)
    for other in ({"host": "login2", "boot": "another"}, {"pids": "pid:[1]"}):
        change_extras(testbed, **other)
        assert manage.reap(home) == []
        assert manage.state(manage.load(home, testbed.id)) == "elsewhere"
        with pytest.raises(TestbedError, match="Stop it from there"):
            manage.down(home, testbed.id)
        assert all(map(processes.alive, testbed.daemons))
    record.write(testbed)


def test_after_a_reboot_the_folder_is_removed_and_no_process_with_a_reused_pid_is_ended(home: Path) -> None:
    testbed = manage.up("slurm", home, nodes=1)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        same = processes.identify(bystander.pid, "slurmctld")
        assert same is not None
        record.write(replace(testbed, daemons=(same,), extras={**testbed.extras, "boot": "the one before"}))
        assert manage.reap(home) == [testbed.id]
        assert bystander.poll() is None
        bystander.kill()
    assert removed(testbed)


def test_two_processes_may_stop_the_same_testbed_at_once(home: Path) -> None:
    testbed = manage.up("slurm", home)
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda _: manage._clear(testbed.folder, slurm.SlurmTestbed()), range(2)))
    assert removed(testbed)


def test_control_groups_are_disabled_for_later_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, written in (("22.05.8", False), ("23.11.4", True), ("24.11.5-1", True), (None, False)):
        monkeypatch.setattr(slurm, "_version", lambda version=version: version)
        folder = tmp_path / str(version)
        folder.mkdir()
        testbed = slurm.SlurmTestbed()._plan(folder, 1, 1, None)
        base = Path(testbed.extras["base"])
        slurm_conf.write_files(testbed, base, None)
        assert (base / "cgroup.conf").exists() == written
        slurm.SlurmTestbed().down(testbed)


def test_ctrl_c_during_the_start_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(env: dict[str, str]) -> set[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(slurm, "_idle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        manage.up("slurm", home)
    assert manage.all_testbeds(home) == []
    assert traces(str(home)) == []


def test_an_old_empty_folder_is_removed(home: Path) -> None:
    folder = home / "testbeds" / "slurm-000000"
    folder.mkdir(parents=True)
    assert manage.reap(home) == []
    long_ago = time.time() - 3600
    os.utime(folder, (long_ago, long_ago))
    assert manage.reap(home) == ["slurm-000000"]
    assert not folder.exists()


def test_a_port_that_another_process_took_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = slurm._free_ports
    with socket.socket() as holder:
        holder.bind(("", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        rounds = []

        def choice(count: int) -> list[int]:
            rounds.append(count)
            return [*choose(count)[:-1], taken] if len(rounds) == 1 else choose(count)

        monkeypatch.setattr(slurm, "_free_ports", choice)
        testbed = manage.up("slurm", home)
    assert rounds == [3, 3]
    assert taken not in ports(testbed)
    assert manage.alive(testbed)


def test_a_testbed_that_does_not_start_names_the_log_and_its_last_line(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = slurm_conf.configuration
    monkeypatch.setattr(slurm_conf, "configuration", lambda *arguments: write(*arguments) + "NoSuchParameter=1\n")
    with pytest.raises(TestbedError) as raised:
        manage.up("slurm", home)
    assert "slurmctld ended. Last line of slurmctld.log: " in raised.value.message
    assert "NoSuchParameter" in next(iter((home / "testbeds").glob("*.log"))).read_text()
    kept = Path(raised.value.message.partition("Logs: ")[2].strip())
    assert kept.is_file()
    assert manage.all_testbeds(home) == []
    assert traces(str(home)) == []


def test_without_slurmd_the_message_names_the_packages_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "program", lambda name, path=None: None if name in ("slurmd", "munged") else "/bin/true")
    with pytest.raises(TestbedError, match=r"munged, slurmd: not on PATH .*install munge and slurm-wlm"):
        manage.up("slurm", home)
    assert not (home / "testbeds").exists()


def test_the_message_about_an_unknown_kind_lists_the_known_kinds(home: Path) -> None:
    with pytest.raises(TestbedError, match=r"there is no kind of testbed 'sge'; known kinds: .*slurm"):
        manage.up("sge", home)


def test_a_folder_whose_path_slurm_cannot_use_is_replaced_by_a_short_one(tmp_path: Path) -> None:
    home = tmp_path / ("a folder with spaces, with a longer path than sockets may have " + "x" * 80)
    home.mkdir()
    testbed = manage.up("slurm", home)
    try:
        assert run(testbed, "srun", "-N2", "true").returncode == 0
    finally:
        manage.down(home, testbed.id)
    assert testbed.extras["base"] != str(testbed.folder)
    assert removed(testbed)


def as_nobody(action: Callable[[], None]) -> str:
    """Run ``action`` in a child process as an ordinary user without a home; return its traceback, empty on success."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user; all other tests here have run as an ordinary user")
    with tempfile.TemporaryFile("w+") as output:
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                os.environ.pop("HOME", None)
                action()
            except BaseException:  # noqa: BLE001 (the parent gets the traceback)
                traceback.print_exc(file=output)
                output.flush()
            os._exit(0)
        os.waitpid(child, 0)
        output.seek(0)
        return output.read()


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A folder that belongs to the user nobody; those of pytest are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="nobody-", dir="/tmp"))
    os.chown(folder, NOBODY, NOBODY) if os.getuid() == 0 else None
    yield folder
    shutil.rmtree(folder)


def test_an_ordinary_user_without_a_home_can_use_a_testbed(open_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = manage.kinds()  # the child may not be able to read where packages are installed
    monkeypatch.setattr(manage, "kinds", lambda: known)

    def use_testbed() -> None:
        testbed = manage.up("slurm", open_home)
        out = open_home / "out"
        done = run(testbed, "sbatch", "-W", "-N2", "-o", str(out), script(open_home, "id -u; srun -n2 id -u"))
        assert done.returncode == 0, done.stderr
        assert out.read_text().split() == [str(NOBODY)] * 3
        manage.down(open_home, testbed.id)
        assert removed(testbed)

    assert as_nobody(use_testbed) == ""
    assert traces(str(open_home)) == []


def test_another_user_of_the_machine_cannot_submit(home: Path, open_home: Path) -> None:
    testbed = manage.up("slurm", home)
    # Even with the configuration file: the ports are open to all users, but the socket of munge is not.
    leaked = open_home / "slurm.conf"
    leaked.write_bytes(Path(testbed.env["SLURM_CONF"]).read_bytes())
    leaked.chmod(0o644)
    job = script(open_home, "true")

    def intrude() -> None:
        done = subprocess.run(
            ["sbatch", "-o", "/dev/null", job],
            env={**os.environ, "SLURM_CONF": str(leaked)},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        assert "uthentication" in done.stderr, done.stderr

    assert as_nobody(intrude) == ""
    assert run(testbed, "squeue", "-h", "-t", "all").stdout == ""


def test_the_folders_of_a_testbed_are_closed_to_other_users(home: Path) -> None:
    testbed = manage.up("slurm", home)
    for folder in {testbed.folder, Path(testbed.extras["base"])}:
        assert folder.stat().st_mode & 0o077 == 0
    assert json.loads((testbed.folder / "testbed.json").read_text())["id"] == testbed.id
