"""Run an app through Parsl's Flux executor, which starts its own instance: parsl_flux.py FLUX."""

import os
import sys
from pathlib import Path

os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

import parsl  # after PATH is set, flux_job_id it searches its programs
from parsl.config import Config
from parsl.executors import FluxExecutor
from parsl.providers import LocalProvider


@parsl.python_app
def flux_job_id():
    import os

    return os.environ.get("FLUX_JOB_ID")


executor = FluxExecutor(
    flux_path=sys.argv[1],
    provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
    working_dir=str(Path.cwd() / "flux"),
)
with parsl.load(
    Config([executor], run_dir=str(Path.cwd() / "runinfo"), strategy="none", strategy_period=0.2)
):
    assert flux_job_id().result(timeout=120), "the app did not run as a job of Flux"
