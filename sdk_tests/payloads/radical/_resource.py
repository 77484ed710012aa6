"""Describes a scheduler, or Flux on it, as a resource of RADICAL-Pilot, and prepares the agent's environment."""

import os
import shlex
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

from _bindings import bindings_for_children

LAUNCHERS = {"srun": "SRUN", "mpirun": "MPIRUN", "mpiexec": "MPIEXEC"}
MANAGERS = {"slurm": ("slurm", "SLURM"), "pbs": ("pbspro", "PBSPRO")}
"""RADICAL's names of a scheduler: in an endpoint, and as the resource manager of an allocation."""
HERE = ("local", "flux")
"""Kinds without a job manager: the agent is a process on this node; with Flux, the payload itself is in a Flux job."""

# Variables of an outer step, which RADICAL would take for those of the pilot.
OUTER = ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE", "SLURM_CPUS_PER_TASK")
FORWARDED = (
    *("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "SLURM_CONF", "PBS_CONF_FILE", "EMULATED_SCHEDULER"),
    *("FLUX_SSH", "FLUX_MODULE_PATH_PREPEND", "FLUX_MODPROBE_PATH_APPEND", "FLUX_PYTHONPATH_PREPEND"),
)


def engine(request):
    """Return ``flux`` if Flux runs the tasks in the pilot, or None if RADICAL runs them itself."""
    return "flux" if request["scheduler"]["kind"] == "flux" else request["params"].get("engine")


def cores(request):
    return max(2, int(request["params"].get("pilot_cores") or request.get("cores") or 2))


def gpus(request):
    """Return the number of the pilot's GPUs, 0 unless the payload tests GPUs."""
    return int(request["params"].get("gpus", 0))


def describe(request, root):
    """Return the scheduler as a resource whose agent uses the deployment under test and installs nothing."""
    scheduler = request["scheduler"]
    here = scheduler["kind"] in HERE
    endpoint, manager = ("fork", "FORK") if here else MANAGERS[scheduler["kind"]]
    methods = ["FORK"] if here else [LAUNCHERS.get(scheduler.get("launcher"), "FORK")]
    if methods == ["FORK"]:  # for tasks of several ranks, which FORK does not support
        known = ["srun"] * (scheduler["kind"] == "slurm") + ["mpiexec", "mpirun"]
        methods += [LAUNCHERS[name] for name in known if shutil.which(name)][:1]
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
        # RADICAL searches for the launcher in the environment from before the bootstrap
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
    if "RADICAL_DEFAULT_IFACE" in os.environ and not refuses_network_interface():
        described["network_interface"] = os.environ["RADICAL_DEFAULT_IFACE"]
    return described


def refuses_network_interface():
    """Return whether this RADICAL-Pilot, such as 1.90, refuses a description with a network interface."""
    try:
        return [int(part) for part in version("radical.pilot").split(".")[:2]] < [1, 100]
    except PackageNotFoundError:
        return False


def options(scheduler):
    """Return the site's directives that RADICAL can pass on: constraints of Slurm, resources of PBS."""
    lines = scheduler.get("directives") or ()
    starts = {"slurm": "--constraint=", "pbs": "-l "}.get(scheduler["kind"])
    return [line.removeprefix(starts).strip() for line in lines if starts and line.startswith(starts)]


def agent_environment(request, root):
    """Write the file that the agent's bootstrap sources, because its login shell does not inherit the environment.

    The bootstrap queries a public time server with dig and ping. A test does not need that time, and many compute nodes
    would wait for the answer, so the file replaces both programs.
    """
    if engine(request) == "flux":
        prepare_flux(request, root)
    lines = [f"export {name}={shlex.quote(os.environ[name])}" for name in FORWARDED if name in os.environ]
    if engine(request) == "flux":
        lines.append(f"unset {' '.join(OUTER)}")
    (root / "agent.sh").write_text("\n".join([*lines, "dig() { false; }", "ping() { false; }", ""]))


def prepare_flux(request, root):
    """Let the agent find Flux, connect to it without ssh to its own node, and start it without Slurm on a testbed.

    RADICAL starts Flux with the ``srun`` on PATH, even if no Slurm runs, and then connects to ssh://NODE, which is its
    own node because the pilot has one node. At a site ``srun`` is not replaced, because the site's users have it, too.
    """
    tools = root / "tools"
    tools.mkdir()
    connect = 'while [ "${1#-}" != "$1" ]; do shift 2; done; shift; eval "$*"'
    program(tools / "connect", connect)
    os.environ["FLUX_SSH"] = str(tools / "connect")
    bindings_for_children()  # without them, RADICAL's agent would wait until its time limit
    kind = request["scheduler"]["kind"]
    if kind in HERE or (kind != "slurm" and request["scheduler"].get("loopback")):
        step = 'while :; do case $1 in --*=*) shift;; --*) shift 2;; *) break;; esac; done; exec "$@"'
        program(tools / "srun", step)
        os.environ["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)


def on_loopback(scheduler):
    """Return whether all nodes have a loopback address: one machine, or a testbed on one machine."""
    if scheduler["kind"] in HERE or scheduler.get("loopback") or "EMULATED_SCHEDULER" in os.environ:
        return True
    if scheduler["kind"] != "slurm":
        return False
    done = subprocess.run(["sinfo", "--noheader", "--format=%o"], capture_output=True, text=True, check=False)
    addresses = done.stdout.split()
    return bool(addresses) and all(address.startswith(("127.", "localhost")) for address in addresses)
