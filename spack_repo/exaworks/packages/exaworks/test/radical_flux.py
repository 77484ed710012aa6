"""Run tasks of a RADICAL pilot as jobs of a Flux instance: python radical_flux.py."""

from this_host import RESOURCE, bounded

launch = {
    "launch_methods": {"order": ["FLUX"], "FLUX": {}},
    "agent_scheduler": "FLUX",
    "agent_spawner": "FLUX",
}
with bounded(280, **launch):
    import radical.pilot as rp  # here, since it reads the environment

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
    ran = tasks.submit_tasks(
        [
            rp.TaskDescription({"executable": "/bin/sh", "arguments": ["-c", "echo $FLUX_JOB_ID"]})
            for _ in range(2)
        ]
    )
    tasks.wait_tasks([task.uid for task in ran])
    said = [(task.state, (task.stdout or "").strip()) for task in ran]
    pilots.cancel_pilots(_timeout=0.1)
    session.close(terminate=False)
    assert all(state == rp.DONE and job for state, job in said), said
