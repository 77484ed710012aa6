"""Tests of unmodified PSI/J executors and Parsl providers on the emulators, with the Python of a real deployment."""

from __future__ import annotations

import json
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.needs import need
from tests.sdk_tests.emulators.conftest import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.needs("components")]

PSIJ = """
import json, sys
from datetime import timedelta
from pathlib import Path
from psij import Job, JobAttributes, JobExecutor, JobSpec, JobState, ResourceSpecV1
from psij.executors.batch.batch_scheduler_executor import BatchSchedulerExecutorConfig
request = json.loads(sys.argv[1])
config = BatchSchedulerExecutorConfig(
    work_directory=Path("psij").absolute(), initial_queue_polling_delay=0.3, queue_polling_interval=0.3)
executor = JobExecutor.get_instance(request["executor"], config=config)
if request.get("walltime"):  # PSI/J does not set the duration that its own template uses
    generate = executor.generate_submit_script
    def with_duration(job, context, file):
        generate(job, {**context, "duration": request["walltime"]}, file)
    executor.generate_submit_script = with_duration
def run(command, cancel=False):
    job = Job(JobSpec("/bin/sh", ["-c", command], directory=Path.cwd(), stdout_path=Path("out.txt").absolute(),
        environment={"WORD": "two"}, resources=ResourceSpecV1(node_count=2, processes_per_node=1),
        attributes=JobAttributes(duration=timedelta(minutes=5), queue_name=request["queue"])))
    states = []
    executor.set_job_status_callback(lambda _, status: states.append(status.state.name))
    executor.submit(job)
    if cancel:
        job.wait(timeout=timedelta(seconds=60), target_states=[JobState.ACTIVE])
        job.cancel()
    status = job.wait(timeout=timedelta(seconds=60))
    return {"state": status and status.state.name, "code": status and status.exit_code, "states": states}
print(json.dumps(run(request["command"], request.get("cancel", False))))
"""

PARSL = """
import json, os, sys
from pathlib import Path
os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LSFProvider, PBSProProvider
request = json.loads(sys.argv[1])
provider = {"lsf": LSFProvider, "pbs": PBSProProvider}[request["kind"]](
    queue=request["queue"], init_blocks=1, max_blocks=1, walltime="00:05:00",
    worker_init="export PATH='" + str(Path(sys.executable).parent) + "':\\"$PATH\\"")
executor = HighThroughputExecutor(label="htex", provider=provider, address="127.0.0.1", max_workers_per_node=1)
@parsl.python_app
def where(number):
    import os
    names = ("LSB_JOBID", "PBS_JOBID")
    return number ** 2, next(os.environ[name] for name in names if name in os.environ), os.environ["EMULATED_NODENAME"]
with parsl.load(Config([executor], run_dir="runinfo", strategy="none", strategy_period=0.2)):
    square, job, node = where(12).result(timeout=100)
    print(json.dumps({"square": square, "job": job, "node": node, "jobs": list(provider.resources)}))
"""


def run(cluster: Cluster, source: str, **request: object) -> tuple[dict[str, object], str]:
    """Run a program with the components; return the last line of its output, from JSON, and its standard error."""
    folder = cluster.folder / f"component-{cluster.count}"
    cluster.count += 1
    folder.mkdir()
    script = folder / "program.py"
    script.write_text(textwrap.dedent(source))
    queue = cluster.testbed.scheduler.default_queue
    env = {name: value for name, value in cluster.kind.env.items() if name != "LSB_NTRIES"}
    done = subprocess.run(
        [str(Path(need("components"), "bin", "python")), str(script), json.dumps({"queue": queue, **request})],
        env=env, cwd=folder, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    last = done.stdout.strip().splitlines()[-1:] or ["{}"]
    return json.loads(last[0]), done.stderr


EXECUTORS = {"lsf": ("lsf",), "pbs": ("pbs", "pbs_classic"), "cobalt": ("cobalt",)}


def test_psijs_executor_reports_each_state_and_the_exit_code_of_a_job(cluster: Cluster) -> None:
    for executor in EXECUTORS[cluster.testbed.kind]:
        more = {"walltime": "0:5:0"} if executor == "cobalt" else {}
        answer, error = run(cluster, PSIJ, executor=executor, command="echo $WORD; exit 3", **more)
        assert (answer.get("state"), answer.get("code")) == ("FAILED", 3), error
        answer, error = run(cluster, PSIJ, executor=executor, command="sleep 1", **more)
        assert (answer.get("state"), answer.get("code")) == ("COMPLETED", 0), error
        assert answer["states"] == ["QUEUED", "ACTIVE", "COMPLETED"]


def test_psijs_script_for_cobalt_has_no_walltime_and_is_refused_with_cobalts_message(cluster: Cluster) -> None:
    if cluster.testbed.kind == "cobalt":
        answer, error = run(cluster, PSIJ, executor="cobalt", command="true")
        assert answer == {}
        assert "invalid time specification: illegal value '''' for minutes" in error


def test_parsls_provider_starts_workers_in_a_job(cluster: Cluster) -> None:
    if cluster.testbed.kind in ("lsf", "pbs"):
        answer, error = run(cluster, PARSL, kind=cluster.testbed.kind)
        assert answer.get("square") == 144, error
        assert answer["jobs"] == [answer["job"]]
        assert answer["node"] in cluster.kind.probe().nodes
