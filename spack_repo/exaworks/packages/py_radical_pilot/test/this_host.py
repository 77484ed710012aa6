"""Configure RADICAL-Pilot for this host in a temporary folder, and limit the time of a test."""

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from importlib.metadata import version
from pathlib import Path

RESOURCE = "exaworks.here"


@contextlib.contextmanager
def bounded(seconds, **description):
    """Yield a folder for RADICAL's files; kill its processes after the test or ``seconds``.

    The seconds are those of an idle machine; a busy one gets more, see ``slowdown``.
    """
    # RADICAL's sockets need a short path.
    root = Path(tempfile.mkdtemp(prefix="rp.")).resolve()
    configure(root, description)
    done = threading.Event()
    threading.Thread(target=watch, args=[root, seconds, done], daemon=True).start()
    try:
        yield root
    except BaseException:
        print(f"RADICAL's logs are below {root}", file=sys.stderr)
        raise
    else:
        done.set()
        kill_processes(root)
        shutil.rmtree(root, ignore_errors=True)
    finally:
        done.set()
        kill_processes(root)


def watch(root, seconds, done):
    """Abort the test when it has had its seconds."""
    left, step = seconds, min(1.0, seconds / 10)
    while left > 0:
        if done.wait(step):
            return
        left -= step / slowdown()
    abort(root, seconds)


def slowdown():
    """Return how much longer things take here now: the load per processor, from 1 to 10."""
    return min(10.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


def abort(root, seconds):
    print(
        f"not done after {seconds} s of an idle machine; RADICAL's logs are below {root}",
        file=sys.stderr,
        flush=True,
    )
    kill_processes(root)
    os._exit(1)


def kill_processes(root):
    """Kill all processes that use ``root``; some leave the process group and survive SIGTERM."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            uses_root = (
                str(root) in os.readlink(entry / "cwd")
                or f"={root}".encode() in (entry / "environ").read_bytes()
            )
        except OSError:
            continue
        if uses_root and int(entry.name) not in (os.getpid(), os.getppid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)


def interface():
    """Return the setting that binds RADICAL to this host; versions before 1.100 refuse it."""
    major, minor = (int(part) for part in version("radical.pilot").split(".")[:2])
    return {"network_interface": "lo"} if (major, minor) >= (1, 100) else {}


def configure(root, description):
    """Let RADICAL read and write only below ``root``, and define this host as a resource."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # The agent's login shell resets the environment; its bootstrap queries public time servers.
    kept = [
        name
        for name in os.environ
        if name in ("PATH", "PYTHONPATH") or name.startswith(("FLUX_", "LUA_"))
    ]
    (root / "agent.sh").write_text(
        "".join(f"export {name}='{os.environ[name]}'\n" for name in kept)
        + "dig() { false; }\nping() { false; }\n"
    )
    here = {
        "description": "this host",
        "default_schema": "local",
        "schemas": {
            "local": {
                "job_manager_endpoint": "fork://localhost/",
                "filesystem_endpoint": "file://localhost/",
            }
        },
        "default_remote_workdir": str(root),
        "resource_manager": "FORK",
        "agent_config": "default",
        "agent_scheduler": "CONTINUOUS",
        "agent_spawner": "POPEN",
        "launch_methods": {"order": ["FORK"], "FORK": {}},
        "pre_bootstrap_0": [f". {root}/agent.sh"],
        "rp_version": "installed",
        "virtenv_mode": "local",
        "python_dist": "default",
        "cores_per_node": 2,
        "gpus_per_node": 0,
        "fake_resources": True,
        **interface(),
        "system_architecture": {"exclusive": False, "options": []},
        **description,
    }
    configs = root / ".radical" / "pilot" / "configs"
    configs.mkdir(parents=True)
    (configs / "resource_exaworks.json").write_text(json.dumps({"here": here}))
    os.environ.update(
        HOME=str(root),
        TMPDIR=str(root),
        PWD=str(root),  # RADICAL uses this variable instead of the working directory
        RADICAL_BASE=str(root),
        RADICAL_PILOT_BASE=str(root),
        RADICAL_PILOT_SESSION_BASE=str(root),
        RADICAL_CONFIG_USER_DIR=str(root),
        RADICAL_DEFAULT_IFACE="lo",
        RADICAL_DEFAULT_REPORT="FALSE",
        RADICAL_REPORT="FALSE",
    )
    os.chdir(root)
