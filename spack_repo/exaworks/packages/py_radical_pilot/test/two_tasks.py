"""Run two tasks in a pilot on this host: python two_tasks.py VERSION."""

import sys
from importlib.metadata import version

from this_host import RESOURCE, bounded

with bounded(240):
    import radical.pilot as rp  # after bounded has set the environment

    assert version("radical.pilot") == sys.argv[1], version("radical.pilot")

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
    submitted = tasks.submit_tasks(
        [
            rp.TaskDescription({"executable": "/bin/echo", "arguments": [f"task {number}"]})
            for number in (1, 2)
        ]
    )
    tasks.wait_tasks([task.uid for task in submitted])
    results = [(task.state, (task.stdout or "").strip()) for task in submitted]
    pilots.cancel_pilots(_timeout=0.1)
    session.close(terminate=False)
    assert results == [(rp.DONE, "task 1"), (rp.DONE, "task 2")], results
