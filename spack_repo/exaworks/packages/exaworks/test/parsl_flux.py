"""Run an app through Parsl's Flux executor in an instance of its own: parsl_flux.py FLUX."""

import os
import sys
from pathlib import Path

os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

import parsl  # it looks for its programs on PATH
from parsl.config import Config
from parsl.executors import FluxExecutor
from parsl.providers import LocalProvider


@parsl.python_app
def where():
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
    assert where().result(timeout=120), "the app did not run as a job of Flux"
