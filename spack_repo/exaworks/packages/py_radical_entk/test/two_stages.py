"""Run two stages, the second of which reads what the first wrote.

python two_stages.py VERSION FOLDER-OF-THIS_HOST
"""

import sys
from importlib.metadata import version

sys.path.insert(0, sys.argv[2])

from this_host import RESOURCE, bounded

with bounded(240) as root:
    import radical.entk as re  # here, since it reads the environment

    assert version("radical.entk") == sys.argv[1], version("radical.entk")

    def stage(name, command):
        task, made = re.Task(), re.Stage()
        task.name, task.executable, task.arguments = "only", "/bin/sh", ["-c", command]
        made.name = name
        made.add_tasks(task)
        return made

    pipeline = re.Pipeline()
    pipeline.name = "both"
    pipeline.add_stages(
        [
            stage("first", f"echo first > {root}/seen"),
            stage("second", f"cat {root}/seen > {root}/kept; echo second >> {root}/kept"),
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
    assert (root / "kept").read_text().split() == ["first", "second"]
