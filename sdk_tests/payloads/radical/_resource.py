"""A scheduler, or Flux on it, described to RADICAL-Pilot as a resource; what its agent needs beside that."""

import os
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

LAUNCHERS = {"srun": "SRUN", "mpirun": "MPIRUN", "mpiexec": "MPIEXEC"}
MANAGERS = {"slurm": ("slurm", "SLURM"), "pbs": ("pbspro", "PBSPRO")}
"""What RADICAL calls a scheduler: in an endpoint, and as the manager of an allocation's resources."""
HERE = ("local", "flux")
"""Kinds without a job manager: the agent is a process beside us, in a Flux job where Flux is the scheduler."""

# An outer step's own numbers would be taken for the pilot's.
OUTER = ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE", "SLURM_CPUS_PER_TASK")
FORWARDED = (
    *("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "SLURM_CONF", "PBS_CONF_FILE", "EMULATED_SCHEDULER"),
    *("FLUX_SSH", "FLUX_MODULE_PATH_PREPEND", "FLUX_MODPROBE_PATH_APPEND", "FLUX_PYTHONPATH_PREPEND"),
)


def engine(request):
    """Return what runs the tasks in the pilot: ``flux``, or None for RADICAL's own means."""
    return "flux" if request["scheduler"]["kind"] == "flux" else request["params"].get("engine")


def cores(request):
    return max(2, int(request["params"].get("pilot_cores") or request.get("cores") or 2))


def gpus(request):
    """Return the pilot's GPUs: none, unless a payload is about them."""
    return int(request["params"].get("gpus", 0))


def describe(request, root):
    """Describe the scheduler as a resource whose agent runs in the deployment as it is and installs nothing."""
    scheduler = request["scheduler"]
    here = scheduler["kind"] in HERE
    endpoint, manager = ("fork", "FORK") if here else MANAGERS[scheduler["kind"]]
    methods = ["FORK"] if here else [LAUNCHERS.get(scheduler.get("launcher"), "FORK")]
    if here and shutil.which("mpiexec"):  # for tasks of several ranks, which FORK leaves to others
        methods.append("MPIEXEC")
    flux = engine(request) == "flux"
    if flux:
        methods = ["FLUX"]
    environment = f". {shlex.quote(str(root / 'agent.sh'))}"
    described = {
        "description": "the scheduler under test",
        "notes": "",
        "default_schema": "here",
        "schemas": {
            "here": {"job_manager_endpoint": f"{endpoint}://localhost/", "filesystem_endpoint": "file://localhost/"}
        },
        "default_remote_workdir": str(root / "base"),
        "resource_manager": manager,
        "agent_config": "default",
        "agent_scheduler": "FLUX" if flux else "CONTINUOUS",
        "agent_spawner": "FLUX" if flux else "POPEN",
        # a launcher is looked for in the environment as it was before the bootstrap
        "launch_methods": {"order": methods, **{method: {"pre_exec_cached": [environment]} for method in methods}},
        "pre_bootstrap_0": [environment],
        "rp_version": "installed",
        "virtenv_mode": "local",
        "python_dist": "default",
        "cores_per_node": cores(request),
        "gpus_per_node": gpus(request),
        "fake_resources": here,
        "system_architecture": {"exclusive": bool(scheduler.get("exclusive")), "options": options(scheduler)},
    }
    if "RADICAL_DEFAULT_IFACE" in os.environ and not before_interfaces():
        described["network_interface"] = os.environ["RADICAL_DEFAULT_IFACE"]
    return described


def before_interfaces():
    """Tell whether RADICAL-Pilot is one, such as 1.90, that refuses a description with a network interface."""
    try:
        return [int(part) for part in version("radical.pilot").split(".")[:2]] < [1, 100]
    except PackageNotFoundError:
        return False


def options(scheduler):
    """Return those of the site's directives that RADICAL can pass on: Slurm's constraints, PBS's resources."""
    lines = scheduler.get("directives") or ()
    starts = {"slurm": "--constraint=", "pbs": "-l "}.get(scheduler["kind"])
    return [line.removeprefix(starts).strip() for line in lines if starts and line.startswith(starts)]


def agent_environment(request, root):
    """Write what the agent's bootstrap sources: its login shell has forgotten the environment.

    The bootstrap asks a public time server through dig and ping: a test needs no such time, and many a compute node
    would wait for the answer.
    """
    if engine(request) == "flux":
        bring_flux_near(request, root)
    lines = [f"export {name}={shlex.quote(os.environ[name])}" for name in FORWARDED if name in os.environ]
    if engine(request) == "flux":
        lines.append(f"unset {' '.join(OUTER)}")
    (root / "agent.sh").write_text("\n".join([*lines, "dig() { false; }", "ping() { false; }", ""]))


def bring_flux_near(request, root):
    """Let the agent find Flux, reach it without a login to this very node, and on a testbed start it without Slurm.

    RADICAL starts Flux by whatever ``srun`` is on PATH, also where that belongs to no Slurm or to one that does not
    run, and then connects to ssh://NODE, the node it is on itself: a pilot here has one node. At a site nothing stands
    in for the launcher, since it is the site's own that its users meet.
    """
    tools = root / "tools"
    tools.mkdir()
    connect = 'while [ "${1#-}" != "$1" ]; do shift 2; done; shift; eval "$*"'
    program(tools / "connect", connect)
    os.environ["FLUX_SSH"] = str(tools / "connect")
    # its Python bindings lie under its prefix, with what they need themselves
    told = subprocess.run(["flux", "env", "printenv", "PYTHONPATH"], capture_output=True, text=True, check=False)
    paths = (os.environ.get("PYTHONPATH"), told.stdout.strip())
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    need_bindings()
    kind = request["scheduler"]["kind"]
    if kind in HERE or (kind != "slurm" and request["scheduler"].get("loopback")):
        step = 'while :; do case $1 in --*=*) shift;; --*) shift 2;; *) break;; esac; done; exec "$@"'
        program(tools / "srun", step)
        os.environ["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"


def need_bindings():
    """Raise ImportError where Flux's bindings cannot be imported: without them RADICAL's agent waits until its end."""
    look = [sys.executable, "-c", "import flux.job"]
    done = subprocess.run(look, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ImportError(f"this deployment's Python has no use of Flux's bindings, by which RADICAL submits: {said}")


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)


def on_loopback(scheduler):
    """Tell whether all nodes have a loopback address: one machine, or a cluster that is private to one."""
    if scheduler["kind"] in HERE or scheduler.get("loopback") or "EMULATED_SCHEDULER" in os.environ:
        return True
    if scheduler["kind"] != "slurm":
        return False
    listed = subprocess.run(["sinfo", "--noheader", "--format=%o"], capture_output=True, text=True, check=False)
    addresses = listed.stdout.split()
    return bool(addresses) and all(address.startswith(("127.", "localhost")) for address in addresses)
