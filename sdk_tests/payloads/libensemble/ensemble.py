"""libEnsemble: a generator that reads results, and simulations that its executor starts; one of them fails."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def ensemble(request):
    import json

    from _ensemble import PROGRAM, run, seconds_left
    from libensemble.executors import Executor

    Executor().register_app(full_path=sys.executable, app_name="python")

    def simulate(number, info):
        executor = info["executor"]
        task = executor.submit(app_name="python", app_args=f"{PROGRAM} {number}")
        task.wait(timeout=seconds_left(request))
        printed = task.read_stdout() if task.state == "FINISHED" else "{}"
        return {"state": task.state, "exit_code": task.errcode, **json.loads(printed)}

    return run(request, simulate)


if __name__ == "__main__":
    main(ensemble, __doc__)
