"""An ensemble of RADICAL-EnTK pipelines with two stages: the second stage reads the files of the first."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _workflows import workflows  # noqa: E402


def ensemble(request):
    members = int(request["params"].get("members", 4))
    staging = request["params"].get("staging", "copy")
    with workflows(request) as active:
        import radical.entk as re

        folder = Path.cwd()

        program = Path(shutil.copy(HERE / "_stage.py", "stage.py")).resolve()

        def task(name, *arguments):
            new = re.Task()
            new.name, new.executable = name, sys.executable
            new.arguments = ["-I", str(program), *arguments]
            return new

        def pipeline(member):
            first, second = re.Stage(), re.Stage()
            first.name, second.name = "first", "second"
            halves = ("left", "right")
            first.add_tasks([task(half, "write", f"{half}.txt", f"member-{member}-{half}") for half in halves])
            reader = task("joined", "join", "joined.txt", *(f"{half}.txt" for half in halves))
            inputs = [f"$Pipeline_member{member}_Stage_first_Task_{half}/{half}.txt" for half in halves]
            setattr(reader, f"{staging}_input_data", inputs)
            reader.download_output_data = [f"joined.txt > {folder}/joined-{member}.txt"]
            second.add_tasks(reader)
            new = re.Pipeline()
            new.name = f"member{member}"
            new.add_stages([first, second])
            return new

        pipelines = [pipeline(member) for member in range(members)]
        active.run(pipelines)
        return {
            "jobs": active.guard.jobs() or [],
            "pipelines": [describe(each, folder / f"joined-{member}.txt") for member, each in enumerate(pipelines)],
        }


def describe(pipeline, fetched):
    """Return states of a pipeline, its stages and tasks, and the lines of its joined file."""
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
