"""A service in a RADICAL pilot: both ranks of a task send it lines of a staged file; the answers are staged out."""

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _radical import pilot  # noqa: E402


def two_ranks_ask(request):
    ranks = int(request["params"].get("ranks", 2))
    with pilot(request) as active:
        rp = active.rp
        programs = {
            name: Path(shutil.copy(HERE / f"_{name}.py", f"{name}.py")).resolve() for name in ("service", "rank")
        }
        here = Path.cwd()  # RADICAL takes other paths as relative to the folder in which the pilot was started
        Path("lines.txt").write_text("".join(f"line {rank}\n" for rank in range(ranks)))
        (service,) = active.tasks.submit_tasks(
            [
                rp.TaskDescription(
                    {
                        "uid": "digest",
                        "mode": rp.TASK_SERVICE,
                        "executable": sys.executable,
                        "arguments": ["-I", str(programs["service"]), request["params"].get("salt", "salt")],
                        "info_pattern": "stdout:port: ([0-9]+)",
                        "startup_timeout": 60,
                        "named_env": "rp",
                    }
                )
            ]
        )
        port = service.wait_info(timeout=90)
        answers = [f"answer.{rank}" for rank in range(ranks)]
        (task,) = active.run(
            [
                {
                    "executable": sys.executable,
                    "arguments": ["-I", str(programs["rank"]), f"RP_INFO_{service.uid.upper()}", "staged.txt"],
                    "ranks": ranks,
                    "services": [service.uid],
                    "input_staging": [f"{here}/lines.txt > staged.txt"],
                    "output_staging": [f"{name} > {here}/back-{name}" for name in answers],
                }
            ]
        )
        during = service.state
        active.tasks.cancel_tasks(service.uid)
        active.tasks.wait_tasks(service.uid, timeout=30)
        return {
            "service": {"port": port, "during": during, "after": service.state},
            "task": {"state": task.state, "exit_code": task.exit_code, "stderr": task.stderr},
            "ranks": [
                json.loads(Path(f"back-{name}").read_text()) for name in answers if Path(f"back-{name}").exists()
            ],
        }


if __name__ == "__main__":
    main(two_ranks_ask, __doc__)
