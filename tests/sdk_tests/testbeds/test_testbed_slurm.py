"""A private Slurm comes up, keeps to itself, and is gone without a trace, however its owner ended."""

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

pytestmark = pytest.mark.needs("slurm", "munge")
NOBODY = 65534


@pytest.fixture
def home() -> Iterator[Path]:
    """A home whose testbeds are taken down whatever the test did, and whose processes must then be gone.

    Its name is short, so that all of a testbed lies in it; pytest's own folders are too deep for that.
    """
    folder = Path(tempfile.mkdtemp(prefix="bed-", dir="/tmp"))
    yield folder
    for bed in manage.all_testbeds(folder):
        manage.down(folder, bed.id)
    assert traces(str(folder)) == []
    shutil.rmtree(folder)


def traces(folder: str) -> list[str]:
    """Every live process that has the folder in its command line or environment, us and our ancestors left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (os.getpid(), os.getppid()):
            continue
        try:
            held = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
            comm = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if folder.encode() in held:
            found.append(f"{entry.name} {comm}")
    return found


def run(bed: Testbed, *argv: str, limit: float = 30.0) -> subprocess.CompletedProcess[str]:
    env = manage.environment(bed, {k: v for k, v in os.environ.items() if not k.startswith("SLURM")})
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=limit, check=False)


def until(true: Callable[[], bool], limit: float = 20.0) -> None:
    deadline = time.monotonic() + limit
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def script(folder: Path, body: str) -> str:
    path = folder / "job.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    return str(path)


def ports(bed: Testbed) -> list[int]:
    return [int(port) for port in bed.extras["ports"].split()]


def gone(bed: Testbed) -> bool:
    return (
        not bed.folder.exists()
        and not Path(bed.extras["base"]).exists()
        and traces(str(bed.folder)) + traces(bed.extras["base"]) == []
        and processes.listening(ports(bed)) == set()
    )


def test_it_comes_up_with_idle_nodes_and_describes_itself(home: Path) -> None:
    bed = manage.up("slurm", home, nodes=3, cores=5)
    listed = run(bed, "sinfo", "-h", "-N", "-o", "%N %T %c %P").stdout.split("\n")[:-1]
    assert listed == [f"n{n} idle 5 debug*" for n in (1, 2, 3)]
    assert bed.version
    assert manage.alive(bed)
    assert manage.load(home, bed.id) == bed

    system = load_file(bed.folder / "system.yaml")
    assert system.system == f"local/{bed.id}"
    assert system.schedulers == [bed.scheduler]
    assert system.schedulers[0].queues[0].max_nodes == 3


def test_two_tasks_of_a_step_run_on_two_nodes(home: Path) -> None:
    bed = manage.up("slurm", home)
    done = run(bed, "srun", "-N2", "-n2", "sh", "-c", "echo $SLURMD_NODENAME")
    assert sorted(done.stdout.split()) == ["n1", "n2"], done.stderr


def test_small_jobs_share_a_node(home: Path) -> None:
    bed = manage.up("slurm", home, nodes=1, cores=4)
    for _ in range(4):
        assert run(bed, "sbatch", "-o", "/dev/null", script(home, "sleep 60")).returncode == 0
    until(lambda: run(bed, "squeue", "-h", "-o", "%T").stdout.split() == ["RUNNING"] * 4)


def test_two_testbeds_at_once_know_nothing_of_each_other(home: Path) -> None:
    one, other = manage.up("slurm", home), manage.up("slurm", home, nodes=1)
    assert run(one, "sbatch", "-o", "/dev/null", script(home, "sleep 60")).returncode == 0
    assert run(other, "squeue", "-h").stdout == ""
    manage.down(home, one.id)
    assert gone(one)
    assert manage.alive(other)
    assert run(other, "sinfo", "-h", "-o", "%T").stdout.split() == ["idle"]


def test_down_ends_jobs_that_ignore_signals_and_hide(home: Path) -> None:
    bed = manage.up("slurm", home)
    started = home / "started"
    hidden = f"trap '' TERM; touch {started}; sleep 300; sleep 300"
    body = f"""trap '' TERM
for name in $(env | sed -n 's/^\\(SLURM[A-Z_]*\\)=.*/\\1/p'); do unset $name; done
setsid sh -c {hidden!r} < /dev/null > /dev/null 2>&1 &
sleep 300"""
    assert run(bed, "sbatch", "-o", "/dev/null", script(home, body)).returncode == 0
    until(started.exists)
    manage.down(home, bed.id)
    assert gone(bed)


def test_down_is_safe_to_call_twice_and_says_what_it_does_not_know(home: Path) -> None:
    bed = manage.up("slurm", home, nodes=1)
    slurm.SlurmTestbed().down(bed)
    slurm.SlurmTestbed().down(bed)
    manage.down(home, bed.id)
    assert gone(bed)
    with pytest.raises(TestbedError, match=r"no testbed is called 'slurm-.*there is none"):
        manage.down(home, bed.id)
    with pytest.raises(TestbedError, match="no testbed is called"):
        manage.load(home, "../" + home.name)


def test_down_is_clean_after_slurmctld_was_killed(home: Path) -> None:
    bed = manage.up("slurm", home)
    assert run(bed, "sbatch", "-o", "/dev/null", script(home, "sleep 300")).returncode == 0
    until(lambda: run(bed, "squeue", "-h", "-o", "%T").stdout.split() == ["RUNNING"])
    (controller,) = [daemon for daemon in bed.daemons if daemon.name == "slurmctld"]
    os.kill(controller.pid, signal.SIGKILL)
    until(lambda: not processes.alive(controller))
    assert not manage.alive(bed)
    assert manage.reap(home) == []  # damaged, but somebody may be looking at it
    manage.down(home, bed.id)
    assert gone(bed)


OWNER = """
import sys, time
from pathlib import Path
from sdk_tests.testbeds import manage
import os
bed = manage.up("slurm", Path(sys.argv[1]), owner_pid=os.getpid())
print(bed.id, flush=True)
time.sleep(300)
"""


def test_a_testbed_whose_owner_was_killed_is_reaped_with_its_jobs(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(home)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        bed = manage.load(home, owner.stdout.readline().strip())
        assert run(bed, "sbatch", "-o", "/dev/null", script(home, "sleep 300")).returncode == 0
        until(lambda: run(bed, "squeue", "-h", "-o", "%T").stdout.split() == ["RUNNING"])
        assert manage.reap(home) == []
        owner.kill()
    assert manage.reap(home) == [bed.id]
    assert gone(bed)


DYING = """
import os, signal, sys
from pathlib import Path
from sdk_tests.testbeds import manage, processes
left = int(sys.argv[2])
def spawn(*given, real=processes.spawn):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    started = real(*given)
    if left == 0 and sys.argv[3] == "unrecorded":
        os.kill(os.getpid(), signal.SIGKILL)
    return started
processes.spawn = spawn
manage.up("slurm", Path(sys.argv[1]))
"""


@pytest.mark.parametrize("after", [0, 1, 2, 3])
@pytest.mark.parametrize("when", ["recorded", "unrecorded"])
def test_a_kill_while_it_comes_up_leaves_a_reapable_testbed(home: Path, after: int, when: str) -> None:
    died = subprocess.run([sys.executable, "-c", DYING, str(home), str(after), when], check=False)
    assert died.returncode == -signal.SIGKILL
    (bed,) = manage.all_testbeds(home)
    running = [one for one in traces(str(bed.folder)) if "munged" in one or "slurm" in one]
    assert len(running) >= after, running
    assert manage.reap(home) == [bed.id]
    assert gone(bed)


def forge(bed: Testbed, **extras: str) -> None:
    record.write(replace(bed, extras={**bed.extras, **extras}))


def test_a_testbed_of_another_host_that_shares_the_home_is_left_alone(home: Path) -> None:
    bed = manage.up("slurm", home, nodes=1)
    for other in ({"host": "login2", "boot": "another"}, {"pids": "pid:[1]"}):
        forge(bed, **other)
        assert manage.reap(home) == []
        assert manage.state(manage.load(home, bed.id)) == "elsewhere"
        with pytest.raises(TestbedError, match="take it down from there"):
            manage.down(home, bed.id)
        assert all(map(processes.alive, bed.daemons))
    record.write(bed)


def test_after_a_reboot_the_folder_goes_and_no_process_that_has_a_pid_of_old(home: Path) -> None:
    bed = manage.up("slurm", home, nodes=1)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        same = processes.identify(bystander.pid, "slurmctld")
        assert same is not None
        record.write(replace(bed, daemons=(same,), extras={**bed.extras, "boot": "the one before"}))
        assert manage.reap(home) == [bed.id]
        assert bystander.poll() is None
        bystander.kill()
    assert gone(bed)


def test_two_at_once_may_take_the_same_one_down(home: Path) -> None:
    bed = manage.up("slurm", home)
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda _: manage._clear(bed.folder, slurm.SlurmTestbed()), range(2)))
    assert gone(bed)


def test_later_releases_are_told_to_leave_control_groups_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, written in (("22.05.8", False), ("23.11.4", True), ("24.11.5-1", True), (None, False)):
        monkeypatch.setattr(slurm, "_version", lambda version=version: version)
        folder = tmp_path / str(version)
        folder.mkdir()
        bed = slurm.SlurmTestbed()._plan(folder, 1, 1, None)
        base = Path(bed.extras["base"])
        slurm_conf.lay_out(bed, base, None)
        assert (base / "cgroup.conf").exists() == written
        slurm.SlurmTestbed().down(bed)


def test_ctrl_c_while_it_comes_up_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(env: dict[str, str]) -> set[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(slurm, "_idle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        manage.up("slurm", home)
    assert manage.all_testbeds(home) == []
    assert traces(str(home)) == []


def test_an_empty_folder_left_by_a_crash_goes_once_it_is_old(home: Path) -> None:
    folder = home / "testbeds" / "slurm-000000"
    folder.mkdir(parents=True)
    assert manage.reap(home) == []
    long_ago = time.time() - 3600
    os.utime(folder, (long_ago, long_ago))
    assert manage.reap(home) == ["slurm-000000"]
    assert not folder.exists()


def test_a_port_somebody_took_meanwhile_is_given_up_for_others(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        bed = manage.up("slurm", home)
    assert rounds == [3, 3]
    assert taken not in ports(bed)
    assert manage.alive(bed)


def test_a_testbed_that_does_not_come_up_names_the_log_and_its_last_line(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = slurm_conf.configuration
    monkeypatch.setattr(slurm_conf, "configuration", lambda *given: write(*given) + "NoSuchParameter=1\n")
    with pytest.raises(TestbedError) as raised:
        manage.up("slurm", home)
    assert "slurmctld ended. Last line of slurmctld.log: " in raised.value.message
    assert "NoSuchParameter" in next(iter((home / "testbeds").glob("*.log"))).read_text()
    kept = Path(raised.value.message.partition("Logs: ")[2].strip())
    assert kept.is_file()
    assert manage.all_testbeds(home) == []
    assert traces(str(home)) == []


def test_a_machine_without_slurmd_is_told_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "program", lambda name, path=None: None if name in ("slurmd", "munged") else "/bin/true")
    with pytest.raises(TestbedError, match=r"munged, slurmd: not on PATH .*install munge and slurm-wlm"):
        manage.up("slurm", home)
    assert not (home / "testbeds").exists()


def test_an_unknown_kind_is_named_with_those_there_are(home: Path) -> None:
    with pytest.raises(TestbedError, match=r"no kind of testbed is called 'sge'; there is .*slurm"):
        manage.up("sge", home)


def test_a_folder_that_slurm_could_not_take_is_kept_out_of_its_sight(tmp_path: Path) -> None:
    home = tmp_path / ("a folder with spaces, and far longer than a socket's name may be " + "x" * 80)
    home.mkdir()
    bed = manage.up("slurm", home)
    try:
        assert run(bed, "srun", "-N2", "true").returncode == 0
    finally:
        manage.down(home, bed.id)
    assert bed.extras["base"] != str(bed.folder)
    assert gone(bed)


def as_nobody(action: Callable[[], None]) -> str:
    """Run ``action`` in a child that is an ordinary user without a home; return its traceback, empty if it passed."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user; every other test here has run as an ordinary one")
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                os.environ.pop("HOME", None)
                action()
            except BaseException:  # noqa: BLE001 (the parent is told)
                traceback.print_exc(file=said)
                said.flush()
            os._exit(0)
        os.waitpid(child, 0)
        said.seek(0)
        return said.read()


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A folder of nobody's own: pytest's are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="nobody-", dir="/tmp"))
    os.chown(folder, NOBODY, NOBODY) if os.getuid() == 0 else None
    yield folder
    shutil.rmtree(folder)


def test_an_ordinary_user_without_a_home_has_one_too(open_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = manage.kinds()  # the child may not be able to read where packages are installed
    monkeypatch.setattr(manage, "kinds", lambda: known)

    def whole_life() -> None:
        bed = manage.up("slurm", open_home)
        out = open_home / "out"
        done = run(bed, "sbatch", "-W", "-N2", "-o", str(out), script(open_home, "id -u; srun -n2 id -u"))
        assert done.returncode == 0, done.stderr
        assert out.read_text().split() == [str(NOBODY)] * 3
        manage.down(open_home, bed.id)
        assert gone(bed)

    assert as_nobody(whole_life) == ""
    assert traces(str(open_home)) == []


def test_another_user_of_the_machine_is_not_let_in(home: Path, open_home: Path) -> None:
    bed = manage.up("slurm", home)
    # Even with the configuration in hand: the ports are open to everybody, but munge's socket is not.
    leaked = open_home / "slurm.conf"
    leaked.write_bytes(Path(bed.env["SLURM_CONF"]).read_bytes())
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
    assert run(bed, "squeue", "-h", "-t", "all").stdout == ""


def test_no_file_of_the_testbed_is_open_to_others(home: Path) -> None:
    bed = manage.up("slurm", home)
    for folder in {bed.folder, Path(bed.extras["base"])}:
        assert folder.stat().st_mode & 0o077 == 0
    assert json.loads((bed.folder / "testbed.json").read_text())["id"] == bed.id
