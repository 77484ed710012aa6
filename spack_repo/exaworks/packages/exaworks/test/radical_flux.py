"""Run two RADICAL-Pilot tasks with Flux: python radical_flux.py FOLDER-OF-THIS_HOST."""

import os
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from this_host import RESOURCE, bounded

METHOD = {
    "agent_scheduler": "FLUX",
    "agent_spawner": "FLUX",
    "launch_methods": {"order": ["FLUX"], "FLUX": {}},
}


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)


tools = Path.cwd() / "tools"
tools.mkdir()
# RADICAL connects to ssh://HOST, which is this host, and starts Flux with any srun on PATH, even
# if that does not belong to a Slurm of this host.
program(tools / "connect", 'while [ "${1#-}" != "$1" ]; do shift 2; done; shift; eval "$*"')
program(
    tools / "srun",
    'while :; do case $1 in --*=*) shift ;; --*) shift 2 ;; *) break ;; esac; done; exec "$@"',
)
os.environ["FLUX_SSH"] = str(tools / "connect")
os.environ["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"

with bounded(240, **METHOD) as root:
    # bounded has put the folder of this Python first on PATH; the tools must come before it
    os.environ["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"
    with (root / "agent.sh").open("a") as agent:
        agent.write(f"export PATH='{os.environ['PATH']}'\n")

    import radical.pilot as rp  # after bounded has set the environment

    session = rp.Session()
    pilots = rp.PilotManager(session=session)
    pilot = pilots.submit_pilots(
        rp.PilotDescription(
            {"resource": RESOURCE, "cores": 2, "runtime": 5, "exit_on_error": False}
        )
    )
    tasks = rp.TaskManager(session=session)
    tasks.add_pilots(pilot)
    pilot.wait(state=[rp.PMGR_ACTIVE, *rp.FINAL])
    assert pilot.state == rp.PMGR_ACTIVE, f"the pilot is {pilot.state}"
    # A task cannot check this itself, since RADICAL removes Flux's variables from its environment.
    submitted = tasks.submit_tasks(
        [
            rp.TaskDescription({"executable": "/bin/echo", "arguments": [f"task {number}"]})
            for number in (1, 2)
        ]
    )
    tasks.wait_tasks([task.uid for task in submitted])
    results = [(task.state, (task.stdout or "").strip()) for task in submitted]
    launched = "flux_start_ok" in "".join(
        path.read_text(errors="replace") for path in root.rglob("*.prof")
    )
    pilots.cancel_pilots(_timeout=0.1)
    session.close(terminate=False)
    assert results == [(rp.DONE, "task 1"), (rp.DONE, "task 2")], results
    assert launched, "the agent did not start a Flux instance"
