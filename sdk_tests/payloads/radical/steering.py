"""RADICAL-EnTK pipelines that change at run time: results decide whether stages are added, and tasks fail."""

import shlex
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _radical import RESOURCE, allocation, guarded  # noqa: E402


def steered(request):
    least = int(request["params"].get("least", 20))
    code = int(request["params"].get("exit_code", 3))
    with guarded(request) as (root, guard):
        import radical.entk as re

        def stage(name, script, **more):
            new, task = re.Stage(), re.Task()
            new.name = name
            task.from_dict({"name": name, "executable": "/bin/sh", "arguments": ["-c", script], **more})
            new.add_tasks(task)
            return new

        def pipeline(name, *stages):
            new = re.Pipeline()
            new.name = name
            new.add_stages(list(stages))
            return new

        def doubling(number):
            """Return a stage whose result decides whether another stage follows."""
            output = root / f"doubled-{number}.txt"
            new = stage(f"double{number}", f"echo $(({number} * 2)) > {shlex.quote(str(output))}")

            def decide():
                value = int(output.read_text())
                if value < least:
                    adaptive.add_stages(doubling(value))

            new.post_exec = decide
            return new

        adaptive = pipeline("adaptive", doubling(3))
        failing = [
            pipeline(name, stage("fails", f"exit {code}", **more), stage("after", f"touch {root}/after-{name}"))
            for name, more in (("tolerant", {}), ("strict", {"error_is_fatal": True}))
        ]
        pipelines = [
            each for each in (adaptive, *failing) if each.name in request["params"].get("pipelines", each.name)
        ]
        manager = re.AppManager(name=root.name, autoterminate=False)
        manager.resource_desc = {"resource": RESOURCE, "access_schema": "here", **allocation(request)}
        manager.workflow = set(pipelines)
        manager.run()
        guard.expect_end()
        manager.terminate()
        guard.wait_for_end()
        return {
            each.name: {
                "state": each.state,
                "stages": [[one.name, one.state, [task.state for task in one.tasks]] for one in each.stages],
                "continued": (root / f"after-{each.name}").exists(),
            }
            for each in pipelines
        }


if __name__ == "__main__":
    main(steered, __doc__)
