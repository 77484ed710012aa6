"""Flux: a running job that is cancelled stops working, and a held job that is cancelled never runs."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

STEPS = Path("steps.txt")


def cancel(request):
    from _instance import flux, instance, jobs, seconds_left, wait_for_end

    with instance(request):
        running = flux("submit", "sh", "-c", f"while :; do echo step >> {STEPS}; sleep 0.05; done")
        held = flux("submit", "--urgency=hold", "touch", "ran")
        flux("job", "wait-event", f"--timeout={seconds_left()}", running, "start")
        while not (STEPS.exists() and STEPS.stat().st_size):
            time.sleep(0.02)
        before = [row["status"] for row in jobs([running, held])]
        flux("cancel", running, held)
        rows = wait_for_end(running, held)
        steps = STEPS.stat().st_size
        time.sleep(0.3)  # enough for six more steps if the job still runs
    states = [{"before": state, "status": row["status"]} for state, row in zip(before, rows, strict=True)]
    stopped = STEPS.stat().st_size == steps
    return {"running": states[0], "held": states[1], "steps": steps, "stopped": stopped, "ran": Path("ran").exists()}


if __name__ == "__main__":
    main(cancel, __doc__)
