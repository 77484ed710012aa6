"""What the RADICAL payloads share: a session that stays inside the scratch folder, and a pilot on this scheduler.

RADICAL reads its environment while it is imported, so ``settle`` comes before any ``import radical``.
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

# The folder above has a child named like RADICAL's own package, whose modules would be taken for RADICAL's.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent.parent]

RESOURCE = "exaworks.here"


def settle(request):
    """Make a folder of our own in the scratch, point all that RADICAL keeps at it and go there; return it."""
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
    bin_dir = Path(request.get("bin") or Path(sys.executable).parent)
    if (bin_dir.parent / "pyvenv.cfg").exists():
        os.environ["VIRTUAL_ENV"] = str(bin_dir.parent)
    os.environ.update(
        HOME=str(root / "home"),
        TMPDIR=str(root / "tmp"),
        PATH=f"{bin_dir}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        PWD=str(root),  # RADICAL believes this variable rather than the folder it is in
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
        os.environ["TMPDIR"] = room_for_sockets(request, root)
    agent_environment(request, root)
    configs = root / ".radical/pilot/configs"
    configs.mkdir(parents=True)
    described = describe(request, root)
    # also in the place of RADICAL's own description of this machine, for components that use no other
    for name, resource in (("exaworks", "here"), ("local", "localhost")):
        (configs / f"resource_{name}.json").write_text(json.dumps({resource: described}, indent=1))
    os.chdir(root)
    return root


def room_for_sockets(request, root):
    """Return a folder for Flux's sockets, whose paths may be of 108 characters; the guard removes it."""
    if not on_loopback(request["scheduler"]):
        return "/tmp"
    short = tempfile.mkdtemp(prefix="rct.", dir="/tmp")
    (root / SOCKETS).symlink_to(short)
    return short


def limits(request):
    """Return (seconds this payload may take, minutes to ask for the pilot): we end before the harness has to end us."""
    walltime = float(request.get("walltime") or 300)
    minutes = int(request["params"].get("pilot_minutes") or math.ceil(walltime / 60) + 1)
    return max(walltime - 10, walltime * 0.8), minutes


def allocation(request):
    """Return what EnTK asks for, as it calls it."""
    scheduler = request["scheduler"]
    return {
        "walltime": limits(request)[1],
        "cpus": cores(request),
        "queue": scheduler.get("queue") or "",
        "project": scheduler.get("account") or "",
    }


@contextlib.contextmanager
def guarded(request):
    """Give (root, guard) with the environment settled; when it is left, nothing of RADICAL is left running."""
    root = settle(request)
    scheduler = request["scheduler"]
    with Guard(root, scheduler["kind"], limits(request)[0], float(scheduler.get("poll") or 1)) as guard:
        yield root, guard


class Pilot:
    """A pilot that is active: ``rp`` is radical.pilot, ``guard`` its guard, ``told`` RADICAL's own object."""

    def __init__(self, rp, guard, tasks, told):
        self.rp, self.guard, self.tasks, self.told = rp, guard, tasks, told

    def run(self, descriptions):
        """Run tasks and return them; where the pilot is lost meanwhile, this process ends and says so."""
        tasks = self.tasks.submit_tasks([self.rp.TaskDescription(each) for each in descriptions])
        self.tasks.wait_tasks([task.uid for task in tasks])
        if any(task.exit_code is None for task in tasks):
            # RADICAL fails the tasks of a pilot that is lost; it may tell so before it tells of the pilot.
            self.told.wait(state=self.rp.FINAL, timeout=10)
        if self.told.state != self.rp.PMGR_ACTIVE:
            self.guard.end(f"became {self.told.state} before its tasks were done")
        return tasks


@contextlib.contextmanager
def pilot(request):
    """Give an active pilot; afterwards it is cancelled and the session is closed."""
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
        (told,) = manager.submit_pilots([rp.PilotDescription(described)])
        tasks = rp.TaskManager(session=session)
        tasks.add_pilots(told)
        told.wait(state=[rp.PMGR_ACTIVE, *rp.FINAL])
        if told.state != rp.PMGR_ACTIVE:
            guard.end(f"became {told.state}, not active")
        yield Pilot(rp, guard, tasks, told)
        guard.expect_the_end()
        # Asked to cancel, the agent leaves within seconds; RADICAL itself would wait for the scheduler's next poll.
        manager.cancel_pilots(_timeout=0.1)
        session.close(terminate=False)
        guard.see_off()
