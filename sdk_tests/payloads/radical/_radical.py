"""Shared by the RADICAL payloads: a session that stays inside the scratch folder, and a pilot on this scheduler.

RADICAL reads its environment when it is imported, so call ``prepare_environment`` before any ``import radical``.
"""

import contextlib
import json
import math
import os
import sys
import tempfile
from pathlib import Path

from _guard import SOCKETS, Guard
from _resource import HERE, MANAGERS, OUTER, agent_environment, cores, describe, engine, gpus, on_loopback

# The parent folder contains a folder with the name of RADICAL's package; without this, Python would import from it.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent.parent]

RESOURCE = "exaworks.here"
LONGEST = 62
"""Characters of a folder below which there is room for Flux's sockets."""


def prepare_environment(request):
    """Create a folder in the scratch folder, direct all of RADICAL's files to it, and change to it; return it."""
    kind = request["scheduler"]["kind"]
    if kind not in (*HERE, *MANAGERS):
        raise SystemExit(
            f"no RADICAL resource is described for scheduler kind {kind!r}; known: {', '.join((*HERE, *MANAGERS))}"
        )
    root = Path(tempfile.mkdtemp(prefix="rct.", dir=Path(request["scratch"]).resolve()))
    for name in ("home", "tmp", "base"):
        (root / name).mkdir()
    for name in [name for name in os.environ if name.startswith("RADICAL_") or name in OUTER]:
        del os.environ[name]
    temporary = os.environ.get("TMPDIR", "/tmp")
    bin_dir = Path(request.get("bin") or Path(sys.executable).parent)
    if (bin_dir.parent / "pyvenv.cfg").exists():
        os.environ["VIRTUAL_ENV"] = str(bin_dir.parent)
    os.environ.update(
        HOME=str(root / "home"),
        TMPDIR=str(root / "tmp"),
        PATH=f"{bin_dir}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        PWD=str(root),  # RADICAL uses this variable instead of the current folder
        RADICAL_BASE=str(root / "base"),
        RADICAL_PILOT_SESSION_BASE=str(root),
        RADICAL_PILOT_BASE=str(root),
        RADICAL_CONFIG_USER_DIR=str(root),
        RADICAL_DEFAULT_LOG_LVL="WARNING",
        RADICAL_DEFAULT_REPORT="FALSE",
        RADICAL_DEFAULT_PROFILE="FALSE",
        RADICAL_REPORT="FALSE",
    )
    if on_loopback(request["scheduler"]):
        os.environ["RADICAL_DEFAULT_IFACE"] = "lo"
    if engine(request) == "flux":
        os.environ["TMPDIR"] = socket_folder(request, root, temporary)
    agent_environment(request, root)
    configs = root / ".radical/pilot/configs"
    configs.mkdir(parents=True)
    described = describe(request, root)
    # It also replaces RADICAL's own description of this machine, for components that use no other.
    for name, resource in (("exaworks", "here"), ("local", "localhost")):
        (configs / f"resource_{name}.json").write_text(json.dumps({resource: described}, indent=1))
    os.chdir(root)
    return root


def socket_folder(request, root, temporary):
    """Return a folder for Flux's sockets, whose paths have at most 107 bytes; the guard removes it.

    temporary: the TMPDIR of this payload, which the harness chose short enough for sockets, if it chose it.
    """
    parent = temporary if len(temporary) <= LONGEST else "/tmp"
    if not on_loopback(request["scheduler"]):
        return parent
    short = tempfile.mkdtemp(prefix="rct.", dir=parent)
    (root / SOCKETS).symlink_to(short)
    return short


def limits(request):
    """Return the seconds that this payload may take, less than the harness allows, and the minutes of its pilot."""
    walltime = float(request.get("walltime") or 300)
    minutes = int(request["params"].get("pilot_minutes") or math.ceil(walltime / 60) + 1)
    return max(walltime - 10, walltime * 0.8), minutes


def allocation(request):
    """Return the resources of the allocation, with EnTK's names."""
    scheduler = request["scheduler"]
    return {
        "walltime": limits(request)[1],
        "cpus": cores(request),
        "queue": scheduler.get("queue") or "",
        "project": scheduler.get("account") or "",
    }


@contextlib.contextmanager
def guarded(request):
    """Prepare the environment and yield (root, guard); afterwards no process of RADICAL remains."""
    root = prepare_environment(request)
    scheduler = request["scheduler"]
    with Guard(root, scheduler["kind"], limits(request)[0], float(scheduler.get("poll") or 1)) as guard:
        yield root, guard


class Pilot:
    """An active pilot. rp: the module radical.pilot. tasks: RADICAL's task manager. handle: RADICAL's pilot object."""

    def __init__(self, rp, guard, tasks, handle):
        self.rp, self.guard, self.tasks, self.handle = rp, guard, tasks, handle

    def run(self, descriptions):
        """Run tasks and return them; if the pilot is lost, end this process with that reason."""
        return self.wait(self.submit(descriptions))

    def submit(self, descriptions):
        """Submit tasks and return them."""
        return self.tasks.submit_tasks([self.rp.TaskDescription(each) for each in descriptions])

    def wait(self, tasks):
        """Wait for tasks and return them; if the pilot is lost, end this process with that reason."""
        self.tasks.wait_tasks([task.uid for task in tasks])
        if any(task.exit_code is None for task in tasks):
            # RADICAL fails the tasks of a lost pilot, possibly before it reports the state of the pilot.
            self.handle.wait(state=self.rp.FINAL, timeout=10)
        if self.handle.state != self.rp.PMGR_ACTIVE:
            self.guard.end(f"became {self.handle.state} before its tasks were done")
        return tasks


shared = None
"""The active pilot of the fixture in whose process payloads run one after another."""


@contextlib.contextmanager
def pilot(request):
    """Yield an active pilot; afterwards cancel it and close the session, unless it is a fixture's."""
    if shared is not None:
        yield shared
        return
    with guarded(request) as (root, guard):
        import radical.pilot as rp

        scheduler = request["scheduler"]
        session = rp.Session(uid=root.name)
        manager = rp.PilotManager(session=session)
        described = {
            "resource": RESOURCE,
            "access_schema": "here",
            "cores": cores(request),
            "gpus": gpus(request),
            "runtime": limits(request)[1],
            "queue": scheduler.get("queue"),
            "project": scheduler.get("account"),
            "exit_on_error": False,
        }
        (handle,) = manager.submit_pilots([rp.PilotDescription(described)])
        tasks = rp.TaskManager(session=session)
        tasks.add_pilots(handle)
        handle.wait(state=[rp.PMGR_ACTIVE, *rp.FINAL])
        if handle.state != rp.PMGR_ACTIVE:
            guard.end(f"became {handle.state}, not active")
        yield Pilot(rp, guard, tasks, handle)
        guard.expect_end()
        # A cancelled agent ends within seconds, but RADICAL would wait for its next poll of the scheduler.
        manager.cancel_pilots(_timeout=0.1)
        session.close(terminate=False)
        guard.wait_for_end()
