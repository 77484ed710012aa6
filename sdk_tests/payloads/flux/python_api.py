"""Flux: jobs through its Python API, ``flux.job.FluxExecutor``: results, exceptions, and events in order."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def python_api(request):
    from _bindings import bindings
    from _instance import instance, seconds_left

    folder, count = bindings(), int(request["params"].get("jobs", 10))
    with instance(request):
        import flux.job
        from flux.job import FluxExecutor, JobspecV1

        def job(*command, **size):
            return executor.submit(JobspecV1.from_command(list(command), **size))

        handle, events = flux.Flux(), []
        with FluxExecutor() as executor:
            futures = [job("sh", "-c", f"exit {number}") for number in range(count)]
            for name in futures[0].EVENTS:
                futures[0].add_event_callback(name, lambda _, event: events.append(event.name))
            codes = [future.result(timeout=seconds_left()) for future in futures]
            refused = [job("no-such-program-anywhere"), job("true", num_tasks=1_000_000), job("sleep", "600")]
            flux.job.cancel(handle, refused[2].jobid(timeout=seconds_left()), "not needed any more")
            raised = [future.exception(timeout=seconds_left()) for future in refused]
        log = [(event.name, event.timestamp) for event in flux.job.event_watch(handle, futures[0].jobid())]
    return {
        "bindings": folder,
        "codes": codes,
        "ids": [int(future.jobid()) for future in futures],
        "events": events,
        "log": [name for name, _ in log],
        "log_in_time_order": [at for _, at in log] == sorted(at for _, at in log),
        "raised": [f"{type(each).__name__}: {each}" for each in raised],
    }


if __name__ == "__main__":
    main(python_api, __doc__)
