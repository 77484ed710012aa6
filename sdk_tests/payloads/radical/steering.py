"""RADICAL-EnTK pipelines that do not run straight on: stages are added by what the last one found, or tasks fail."""

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
            made, task = re.Stage(), re.Task()
            made.name = name
            task.from_dict({"name": name, "executable": "/bin/sh", "arguments": ["-c", script], **more})
            made.add_tasks(task)
            return made

        def pipeline(name, *stages):
            made = re.Pipeline()
            made.name = name
            made.add_stages(list(stages))
            return made

        def doubling(number):
            """Make a stage whose result, once it is there, decides whether another follows."""
            found = root / f"doubled-{number}.txt"
            made = stage(f"double{number}", f"echo $(({number} * 2)) > {shlex.quote(str(found))}")

            def decide():
                value = int(found.read_text())
                if value < least:
                    adaptive.add_stages(doubling(value))

            made.post_exec = decide
            return made

        adaptive = pipeline("adaptive", doubling(3))
        failing = [
            pipeline(name, stage("fails", f"exit {code}", **more), stage("after", f"touch {root}/after-{name}"))
            for name, more in (("tolerant", {}), ("strict", {"error_is_fatal": True}))
        ]
        pipelines = [
            made for made in (adaptive, *failing) if made.name in request["params"].get("pipelines", made.name)
        ]
        manager = re.AppManager(name=root.name, autoterminate=False)
        manager.resource_desc = {"resource": RESOURCE, "access_schema": "here", **allocation(request)}
        manager.workflow = set(pipelines)
        manager.run()
        guard.expect_the_end()
        manager.terminate()
        guard.see_off()
        return {
            made.name: {
                "state": made.state,
                "stages": [[each.name, each.state, [task.state for task in each.tasks]] for each in made.stages],
                "went_on": (root / f"after-{made.name}").exists(),
            }
            for made in pipelines
        }


if __name__ == "__main__":
    main(steered, __doc__)
