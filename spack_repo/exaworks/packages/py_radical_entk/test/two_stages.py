"""Run two stages; the second one reads a file that the first one has written.

python two_stages.py VERSION FOLDER-OF-THIS_HOST
"""

import sys
from importlib.metadata import version

sys.path.insert(0, sys.argv[2])

from this_host import RESOURCE, bounded

with bounded(240) as root:
    import radical.entk as re  # after bounded has set the environment

    assert version("radical.entk") == sys.argv[1], version("radical.entk")

    def stage(name, command):
        task, new_stage = re.Task(), re.Stage()
        task.name, task.executable, task.arguments = "only", "/bin/sh", ["-c", command]
        new_stage.name = name
        new_stage.add_tasks(task)
        return new_stage

    pipeline = re.Pipeline()
    pipeline.name = "both"
    pipeline.add_stages(
        [
            stage("first", f"echo first > {root}/one"),
            stage("second", f"cat {root}/one > {root}/two; echo second >> {root}/two"),
        ]
    )
    manager = re.AppManager(name=root.name, autoterminate=False)
    manager.resource_desc = {
        "resource": RESOURCE,
        "access_schema": "local",
        "walltime": 5,
        "cpus": 2,
    }
    manager.workflow = {pipeline}
    manager.run()
    manager.terminate()
    assert pipeline.state == re.states.DONE, pipeline.state
    assert (root / "two").read_text().split() == ["first", "second"]
