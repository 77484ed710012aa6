"""Submit PSI/J jobs from Parsl apps: python parsl_psij.py."""

import os
from pathlib import Path

os.environ["HOME"] = str(Path.cwd())

import parsl  # after HOME is set, which both packages read
import psij  # in the main thread, since its local executor handles signals
from parsl.config import Config
from parsl.executors import ThreadPoolExecutor


@parsl.python_app
def submit(number, out):
    from datetime import timedelta

    job = psij.Job(psij.JobSpec("/bin/echo", arguments=[str(number)], stdout_path=out))
    psij.JobExecutor.get_instance("local").submit(job)
    return job.wait(timeout=timedelta(seconds=60)).state.name


with parsl.load(Config([ThreadPoolExecutor(max_threads=2)], run_dir=str(Path.cwd() / "runinfo"))):
    outs = [Path.cwd() / f"out-{number}" for number in range(2)]
    states = [
        future.result(timeout=90)
        for future in [submit(number, out) for number, out in enumerate(outs)]
    ]
    assert states == ["COMPLETED", "COMPLETED"], states
    assert [out.read_text() for out in outs] == ["0\n", "1\n"]
