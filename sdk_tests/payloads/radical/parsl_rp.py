"""Parsl runs apps in a RADICAL pilot: it returns a value, the exit code of a command, and an exception."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _radical import RESOURCE, cores, guarded, limits  # noqa: E402


def apps(request):
    number = int(request["params"].get("number", 7))
    with guarded(request) as (root, guard):
        import parsl
        from parsl.config import Config
        from parsl.executors.radical import RadicalPilotExecutor, ResourceConfig

        size = ResourceConfig()
        size.worker_cores_per_node = 1
        executor = RadicalPilotExecutor(
            resource=RESOURCE,
            rpex_cfg=size,
            working_dir=str(root),
            access_schema="here",
            cores=cores(request),
            runtime=limits(request)[1],
        )
        parsl.load(Config([executor], run_dir=str(root / "runinfo"), strategy="none"))

        @parsl.python_app
        def power(base):
            import os

            return {"value": base**40, "pid": os.getpid(), "task": os.environ.get("RP_TASK_ID")}

        @parsl.python_app
        def fails():
            raise ArithmeticError("84 by nothing")

        @parsl.bash_app
        def command(stdout=None):
            return "echo $((6 * 7))"

        seconds = limits(request)[0]
        value, wrong, printed = power(number), fails(), command(stdout=str(root / "command.txt"))
        answer = {
            "submitter": os.getpid(),
            "value": value.result(timeout=seconds),
            "exit_code": printed.result(timeout=seconds),
            "exception": repr(wrong.exception(timeout=seconds)),
            "printed": (root / "command.txt").read_text().strip() if (root / "command.txt").exists() else None,
        }
        guard.expect_end()
        return answer


if __name__ == "__main__":
    main(apps, __doc__)
