"""RADICAL-EnTK pipelines that change at run time: results decide whether stages are added, and tasks fail."""

import shlex
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _workflows import workflows  # noqa: E402


def steered(request):
    least = int(request["params"].get("least", 20))
    code = int(request["params"].get("exit_code", 3))
    with workflows(request) as active:
        import radical.entk as re

        folder = Path.cwd()

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
            output = folder / f"doubled-{number}.txt"
            new = stage(f"double{number}", f"echo $(({number} * 2)) > {shlex.quote(str(output))}")

            def decide():
                value = int(output.read_text())
                if value < least:
                    adaptive.add_stages(doubling(value))

            new.post_exec = decide
            return new

        adaptive = pipeline("adaptive", doubling(3))
        failing = [
            pipeline(name, stage("fails", f"exit {code}", **more), stage("after", f"touch {folder}/after-{name}"))
            for name, more in (("tolerant", {}), ("strict", {"error_is_fatal": True}))
        ]
        pipelines = [
            each for each in (adaptive, *failing) if each.name in request["params"].get("pipelines", each.name)
        ]
        active.run(pipelines)
        return {
            each.name: {
                "state": each.state,
                "stages": [[one.name, one.state, [task.state for task in one.tasks]] for one in each.stages],
                "continued": (folder / f"after-{each.name}").exists(),
            }
            for each in pipelines
        }


if __name__ == "__main__":
    main(steered, __doc__)
