"""A RADICAL pilot whose time is over before its task is done: pilot and task tell an end, and the task has one."""

import shlex
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _radical import pilot  # noqa: E402


def outlived(request):
    minutes = int(request["params"].setdefault("pilot_minutes", 1))
    with pilot(request) as active:
        rp, began = active.rp, time.monotonic()
        beat = Path("beat.txt").resolve()
        # in a file, since RADICAL lets a shell expand what is in an argument
        script = Path("beat.sh").resolve()
        script.write_text(f"for i in $(seq 600); do echo $i > {shlex.quote(str(beat))}; sleep 1; done\n")
        (task,) = active.tasks.submit_tasks([rp.TaskDescription({"executable": "/bin/sh", "arguments": [str(script)]})])
        task.wait(state=[rp.AGENT_EXECUTING, *rp.FINAL], timeout=60)
        before = task.state
        active.guard.expect_the_end()
        active.told.wait(state=rp.FINAL, timeout=60 * minutes + 60)
        lasted = time.monotonic() - began
        active.tasks.wait_tasks([task.uid], timeout=30)
        active.guard.see_off(30)
        until = time.monotonic() + 30
        steps = ""
        while steps != (steps := beat.read_text() if beat.exists() else "") and time.monotonic() < until:
            time.sleep(3)
        return {
            "before": before,
            "pilot": active.told.state,
            "task": task.state,
            "lasted": lasted,
            "steps": int(steps or 0),
            "stopped": time.monotonic() < until,
        }


if __name__ == "__main__":
    main(outlived, __doc__)
