"""An ensemble of RADICAL-EnTK pipelines of two stages: the second stage reads the files that the first one wrote."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _radical import RESOURCE, allocation, guarded  # noqa: E402


def ensemble(request):
    members = int(request["params"].get("members", 4))
    staging = request["params"].get("staging", "copy")
    with guarded(request) as (root, guard):
        import radical.entk as re

        program = Path(shutil.copy(HERE / "_stage.py", "stage.py")).resolve()

        def task(name, *arguments):
            made = re.Task()
            made.name, made.executable = name, sys.executable
            made.arguments = ["-I", str(program), *arguments]
            return made

        def pipeline(member):
            first, second = re.Stage(), re.Stage()
            first.name, second.name = "first", "second"
            halves = ("left", "right")
            first.add_tasks([task(half, "write", f"{half}.txt", f"member-{member}-{half}") for half in halves])
            reader = task("joined", "join", "joined.txt", *(f"{half}.txt" for half in halves))
            inputs = [f"$Pipeline_member{member}_Stage_first_Task_{half}/{half}.txt" for half in halves]
            setattr(reader, f"{staging}_input_data", inputs)
            reader.download_output_data = [f"joined.txt > {root}/joined-{member}.txt"]
            second.add_tasks(reader)
            made = re.Pipeline()
            made.name = f"member{member}"
            made.add_stages([first, second])
            return made

        pipelines = [pipeline(member) for member in range(members)]
        manager = re.AppManager(name=root.name, autoterminate=False)
        manager.resource_desc = {"resource": RESOURCE, "access_schema": "here", **allocation(request)}
        manager.workflow = set(pipelines)
        manager.run()
        jobs = guard.jobs() or []
        guard.expect_the_end()
        manager.terminate()
        guard.see_off()
        return {
            "jobs": jobs,
            "pipelines": [told(made, root / f"joined-{member}.txt") for member, made in enumerate(pipelines)],
        }


def told(pipeline, fetched):
    return {
        "name": pipeline.name,
        "state": pipeline.state,
        "stages": [
            {
                "name": stage.name,
                "state": stage.state,
                "tasks": [{"name": task.name, "state": task.state} for task in stage.tasks],
            }
            for stage in pipeline.stages
        ],
        "joined": fetched.read_text().splitlines() if fetched.exists() else None,
    }


if __name__ == "__main__":
    main(ensemble, __doc__)
