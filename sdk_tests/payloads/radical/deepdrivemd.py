"""An ensemble as DeepDriveMD's with EnTK: simulations, a model trained on them, and the starts of the next simulations.

Each stage is added when the results of the stage before are there. One simulation of the first stage fails.
"""

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _workflows import workflows  # noqa: E402


def deepdrivemd(request):
    given = request["params"]
    starts, rounds, steps = given.get("starts", [100, 200, -1]), given.get("rounds", 2), given.get("steps", 50)
    with workflows(request) as active:
        import radical.entk as re

        folder = Path.cwd()

        program = Path(shutil.copy(HERE / "_molecule.py", "molecule.py")).resolve()

        def stage(name, *calls):
            """Return a stage with a task for each call of the program; the first argument is the file it writes."""
            new = re.Stage()
            new.name = name
            for verb, output, *arguments in calls:
                task = re.Task()
                task.name, task.executable = Path(output).stem, sys.executable
                task.arguments = ["-I", str(program), verb, str(output), *map(str, arguments)]
                new.add_tasks(task)
            return new

        def simulating(number, positions):
            walks = [folder / f"walk.{number}.{each}.json" for each in range(len(positions))]
            new = stage(f"simulate{number}", *(("simulate", w, p, steps) for w, p in zip(walks, positions)))  # noqa: B905
            new.post_exec = lambda: pipeline.add_stages(training(number, [each for each in walks if each.exists()]))
            return new

        def training(number, walks):
            model = folder / f"model.{number}.json"
            new = stage(f"train{number}", ("train", model, *walks))
            new.post_exec = lambda: pipeline.add_stages(choosing(number, model, walks))
            return new

        def choosing(number, model, walks):
            chosen = folder / f"chosen.{number}.json"
            new = stage(f"choose{number}", ("choose", chosen, len(starts), model, *walks))

            def continues():
                if number + 1 < rounds:
                    pipeline.add_stages(simulating(number + 1, json.loads(chosen.read_text())["starts"]))

            new.post_exec = continues
            return new

        pipeline = re.Pipeline()
        pipeline.name = "steered"
        pipeline.add_stages(simulating(0, starts))
        active.run([pipeline])
        stages = [[each.name, each.state, {task.name: task.state for task in each.tasks}] for each in pipeline.stages]
        written = [path for kind in ("walk", "model", "chosen") for path in sorted(folder.glob(f"{kind}.*.json"))]
        files = {path.stem: json.loads(path.read_text()) for path in written}
    return {"state": pipeline.state, "stages": stages, "files": files}


if __name__ == "__main__":
    main(deepdrivemd, __doc__)
