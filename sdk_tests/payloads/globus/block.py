"""Globus Compute on Parsl: an engine whose workers are in a block that Parsl requests from the scheduler."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from _payload import main  # noqa: E402


def block(request):
    sys.path.append(str(HERE.parent / "parsl"))
    from _endpoint import computed, started
    from _parsl import configured, members, wait_for_blocks_end
    from globus_compute_endpoint.engines import GlobusComputeEngine

    kind, config = configured(request, workers=2)
    (executor,) = config.executors
    polling = {"strategy": "none", "strategy_period": 0.2}
    blocks = []
    try:
        with started(GlobusComputeEngine(executor=executor, job_status_kwargs=polling)) as engine:
            answer = computed(engine, request)
            blocks = members(kind, executor.provider)
    finally:
        wait_for_blocks_end(kind, blocks)
    return {**answer, "jobs": sorted(map(str, executor.blocks_to_job_id.values()))}


if __name__ == "__main__":
    main(block, __doc__)
