"""Describe this host to RADICAL-Pilot, below a folder of its own, and bound a test's time."""

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

RESOURCE = "exaworks.here"


@contextlib.contextmanager
def bounded(seconds, **description):
    """Give a folder for all of RADICAL's; what runs below it ends with the test or ``seconds``."""
    # RADICAL's sockets need a short path.
    root = Path(tempfile.mkdtemp(prefix="rp.")).resolve()
    settle(root, description)
    watch = threading.Timer(seconds, give_up, [root, seconds])
    watch.daemon = True
    watch.start()
    try:
        yield root
    except BaseException:
        print(f"RADICAL's logs are below {root}", file=sys.stderr)
        raise
    else:
        watch.cancel()
        sweep(root)
        shutil.rmtree(root, ignore_errors=True)
    finally:
        watch.cancel()
        sweep(root)


def give_up(root, seconds):
    print(
        f"not done after {seconds} s; RADICAL's logs are below {root}", file=sys.stderr, flush=True
    )
    sweep(root)
    os._exit(1)


def sweep(root):
    """End what is left: bridges and agents leave the process group, and outlive SIGTERM."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ours = (
                str(root) in os.readlink(entry / "cwd")
                or f"={root}".encode() in (entry / "environ").read_bytes()
            )
        except OSError:
            continue
        if ours and int(entry.name) not in (os.getpid(), os.getppid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)


def settle(root, description):
    """Point all that RADICAL reads and writes at ``root``, and name this host as a resource."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # The agent's login shell forgets the environment; its bootstrap asks public servers the time.
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
        "network_interface": "lo",
        "system_architecture": {"exclusive": False, "options": []},
        **description,
    }
    configs = root / ".radical" / "pilot" / "configs"
    configs.mkdir(parents=True)
    (configs / "resource_exaworks.json").write_text(json.dumps({"here": here}))
    os.environ.update(
        HOME=str(root),
        TMPDIR=str(root),
        PWD=str(root),  # RADICAL believes this variable rather than the folder it is in
        RADICAL_BASE=str(root),
        RADICAL_PILOT_BASE=str(root),
        RADICAL_PILOT_SESSION_BASE=str(root),
        RADICAL_CONFIG_USER_DIR=str(root),
        RADICAL_DEFAULT_IFACE="lo",
        RADICAL_DEFAULT_REPORT="FALSE",
        RADICAL_REPORT="FALSE",
    )
    os.chdir(root)
