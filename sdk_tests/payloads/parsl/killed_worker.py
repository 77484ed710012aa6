"""Parsl: a task whose worker is killed with SIGKILL is tried again by another worker, as often as retries allow."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def killed_worker(request):
    import parsl
    from _parsl import left, loaded

    @parsl.python_app
    def fragile(folder, kills):
        """Leave a file that names this worker; kill it while fewer than ``kills`` have died, else return its pid.

        It dies at work: one that dies while it still sends its last result takes the lock of its pool's queue along,
        and Parsl 2026.10.26 then waits for ever.
        """
        import os
        import signal
        import time

        with open(os.path.join(folder, str(os.getpid())), "w"):
            tries = len(os.listdir(folder))
        if tries <= kills:
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()

    def tries(name):
        return sorted(int(each.name) for each in Path(name).iterdir())

    retries = int(request["params"].get("retries", 1))
    kills = {"spared": 0, "once": retries, "again": retries + 1}
    with loaded(request, workers=2, heartbeat=2, retries=retries):
        futures = {}
        for name, count in kills.items():
            Path(name).mkdir()
            futures[name] = fragile(str(Path(name).absolute()), count)
        error = futures["again"].exception(timeout=left(request))
        pids = {name: futures[name].result(timeout=left(request)) for name in ("spared", "once")}
    answer = {"pids": pids, "tries": {name: tries(name) for name in kills}}
    return {**answer, "error": type(error).__name__, "message": str(error)}


if __name__ == "__main__":
    main(killed_worker, __doc__)
