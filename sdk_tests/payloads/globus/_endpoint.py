"""Shared by the payloads of the Globus Compute endpoint: functions that an engine runs, without the web service.

An endpoint gets its functions from the service as packed messages and hands them to its engine. Here this process packs
them, so that everything behind the service runs for real, and no account is needed.
"""

import os
import time
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_endpoint.engines.base import GCFuture
from globus_compute_sdk.serialize import ComputeSerializer, PureSourceTextInspect

STARTED = time.monotonic()
SERIALIZER = ComputeSerializer(strategy_code=PureSourceTextInspect())
"""It sends a function as source text, because the workers cannot import this module."""


def place(number):
    """Return the square of a number and where it was computed."""
    import os
    import platform

    if number < 0:
        raise ArithmeticError(f"{number} is less than nothing")
    nodes = ("SLURMD_NODENAME", "EMULATED_NODENAME")
    jobs = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
    return {
        "square": number * number,
        "pid": os.getpid(),
        "node": next((os.environ[name] for name in nodes if name in os.environ), None) or platform.node(),
        "job_id": next((os.environ[name] for name in jobs if name in os.environ), None),
    }


@contextmanager
def started(engine):
    """Start an engine in the folder ``endpoint``, and shut it down afterwards; after an error, only end its blocks."""
    folder = Path("endpoint").absolute()
    folder.mkdir(exist_ok=True)
    engine.start(endpoint_id=uuid4(), run_dir=str(folder))
    try:
        yield engine
    except BaseException:  # such as SIGTERM, after which a payload has 3 s
        engine.provider.cancel(list(engine.provider.resources))
        raise
    engine.shutdown()


def computed(engine, request):
    """Send the function once for each number and return the answers of those that worked and the errors of others."""
    numbers = request["params"].get("numbers", [2, 3, 5, 7, -1])
    futures = {number: submitted(engine, number) for number in numbers}
    answers, errors = [], {}
    for number, future in futures.items():
        result = messagepack.unpack(future.result(timeout=seconds_left(request)))
        if result.is_error:
            errors[str(number)] = {"code": result.error_details.code, "message": result.data}
        else:
            answers.append({"number": number, **SERIALIZER.deserialize(result.data)})
    return {"submitter": os.getpid(), "answers": answers, "errors": errors}


def submitted(engine, number):
    """Send the function ``place`` with a number; it contains all that it needs."""
    parts = [SERIALIZER.serialize(each) for each in (place, (number,), {})]
    future = GCFuture(uuid4())
    task = Task(task_id=future.gc_task_id, task_buffer=SERIALIZER.pack_buffers(parts))
    engine.submit(future, messagepack.pack(task), resource_specification={})
    return future


def seconds_left(request):
    """Return the seconds until this payload's time limit."""
    limit = request.get("limit") or request.get("walltime") or 120
    return max(1.0, STARTED + 0.9 * limit - time.monotonic())
