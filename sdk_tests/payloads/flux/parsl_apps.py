"""Flux under Parsl: the FluxExecutor starts an instance in the allocation, and each app is a job of that instance."""

import concurrent.futures.thread  # noqa: F401  (if Parsl imports it first while a thread forks, its lock breaks)
import os
import shlex
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

ONE = {"num_tasks": 1, "cores_per_task": 1}
"""Resources of an app's job. The executor needs them in each call; it ignores a default in the app's signature."""


def parsl_apps(request):
    from _bindings import bindings
    from _instance import detach, seconds_left, start

    detach(request)
    bindings()  # Parsl finds Flux's package by itself, but not the modules which that package imports
    import parsl
    from parsl.config import Config
    from parsl.executors import FluxExecutor
    from parsl.providers import LocalProvider

    @parsl.python_app
    def square(number, parsl_resource_specification):
        import os

        if number < 0:
            raise ArithmeticError(f"{number} is less than nothing")
        return {"square": number * number, "pid": os.getpid(), "job": os.environ["FLUX_JOB_ID"]}

    @parsl.python_app
    def dies(parsl_resource_specification):
        import os

        os._exit(9)

    # `flux env` sets the path of Flux's bindings, for a manager whose interpreter is not that of Flux
    command = shlex.join(start(request)) + " {flux} env {python} {manager} {protocol} {hostname} {port}"
    provider = LocalProvider(init_blocks=0)
    executor = FluxExecutor(provider, str(Path("tasks").absolute()), launch_cmd=command)
    count = int(request["params"].get("apps", 8))
    try:
        with parsl.load(Config([executor], run_dir=str(Path("runinfo").absolute()), strategy="none")):
            try:
                futures = [square(number, parsl_resource_specification=ONE) for number in range(count)]
                wider = square(100, parsl_resource_specification={**ONE, "num_nodes": 1})
                fails, lost = (app(parsl_resource_specification=ONE) for app in (partial(square, -1), dies))
                values = [future.result(timeout=seconds_left()) for future in [*futures, wider]]
                raised = [future.exception(timeout=seconds_left()) for future in (fails, lost)]
            except SystemExit:  # ended by SIGTERM: Parsl's own end takes too long
                provider.cancel(list(provider.resources))
                raise
    finally:
        wait_for_instance_end(provider)
    return {"values": values, "raised": [f"{type(each).__name__}: {each}" for each in raised], "pid": os.getpid()}


def wait_for_instance_end(provider, seconds=20.0):
    """Wait until the instance has ended, because Parsl does not wait for it; cancel it if it does not end."""
    end = time.monotonic() + seconds
    while any(not each.terminal for each in provider.status(list(provider.resources))):
        if time.monotonic() > end:
            provider.cancel(list(provider.resources))
            raise TimeoutError("the instance that Parsl started did not end")
        time.sleep(0.05)


if __name__ == "__main__":
    main(parsl_apps, __doc__)
