"""Parsl: a task whose worker is killed by SIGKILL is retried by another worker, as often as retries allow."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def killed_worker(request):
    import parsl
    from _parsl import loaded, seconds_left

    @parsl.python_app
    def fragile(folder, kills):
        """Write a file named after this worker; kill it if at most ``kills`` workers have tried, else return its pid.

        The worker dies during the task. If it died while sending its last result, it would still hold the lock of its
        pool's queue, and Parsl 2026.10.26 would wait for ever.
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
        error = futures["again"].exception(timeout=seconds_left(request))
        pids = {name: futures[name].result(timeout=seconds_left(request)) for name in ("spared", "once")}
    answer = {"pids": pids, "tries": {name: tries(name) for name in kills}}
    return {**answer, "error": type(error).__name__, "message": str(error)}


if __name__ == "__main__":
    main(killed_worker, __doc__)
