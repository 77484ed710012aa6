"""Parsl: with monitoring, a database in the run folder contains every task's states and the workflow's counts."""

import importlib.util
import sqlite3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def monitoring(request):
    import parsl
    from _parsl import loaded, seconds_left

    if importlib.util.find_spec("sqlalchemy") is None:
        missing = "no module named sqlalchemy, which parsl[monitoring] brings, or in Spack py-parsl+monitoring"
        return {"absent": f"this deployment has Parsl without its monitoring: {missing}"}
    from parsl.monitoring import MonitoringHub

    @parsl.python_app
    def half(number):
        if number % 2:
            raise ArithmeticError(f"{number} is odd")
        return number // 2

    numbers = request["params"].get("numbers", [2, 3, 4])
    with loaded(request, monitoring=MonitoringHub(workflow_name="exaworks", resource_monitoring_interval=0)):
        futures = [half(number) for number in numbers]
        errors = [future.exception(timeout=seconds_left(request)) for future in futures]
    with sqlite3.connect("runinfo/monitoring.db") as database:
        workflow = database.execute(
            "select workflow_name, tasks_completed_count, tasks_failed_count, time_completed from workflow"
        ).fetchall()
        tasks = database.execute("select task_id, task_func_name from task order by task_id").fetchall()
        states = database.execute("select task_id, task_status_name from status order by timestamp").fetchall()
        hosts = database.execute("select hostname from try where hostname is not null").fetchall()
    return {
        "failed": [number for number, error in zip(numbers, errors, strict=True) if error],
        "workflow": [
            {"name": name, "completed": good, "failed": bad, "ended": end} for name, good, bad, end in workflow
        ],
        "functions": [function for _, function in tasks],
        "states": [[state for task, state in states if task == number] for number, _ in tasks],
        "hosts": sorted({host for (host,) in hosts}),
    }


if __name__ == "__main__":
    main(monitoring, __doc__)
