"""A RADICAL pilot whose walltime ends before its task: both are reported as ended, and the task really stops."""

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
        # The script is a file, because RADICAL lets a shell expand the arguments of a task.
        script = Path("beat.sh").resolve()
        script.write_text(f"for i in $(seq 600); do echo $i > {shlex.quote(str(beat))}; sleep 1; done\n")
        (task,) = active.tasks.submit_tasks([rp.TaskDescription({"executable": "/bin/sh", "arguments": [str(script)]})])
        task.wait(state=[rp.AGENT_EXECUTING, *rp.FINAL], timeout=60)
        before = task.state
        active.guard.expect_end()
        active.handle.wait(state=rp.FINAL, timeout=60 * minutes + 60)
        lasted = time.monotonic() - began
        active.tasks.wait_tasks([task.uid], timeout=30)
        active.guard.wait_for_end(30)
        end = time.monotonic() + 30
        steps = ""
        while steps != (steps := beat.read_text() if beat.exists() else "") and time.monotonic() < end:
            time.sleep(3)
        return {
            "before": before,
            "pilot": active.handle.state,
            "task": task.state,
            "lasted": lasted,
            "steps": int(steps or 0),
            "stopped": time.monotonic() < end,
        }


if __name__ == "__main__":
    main(outlived, __doc__)
