"""PSI/J submits jobs to RADICAL-Pilot with its executor ``rp``: both run in one pilot, and one exits with a code."""

import json
import sys
from datetime import timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _radical import guarded, limits  # noqa: E402

SCRIPT = """import json, os, sys
print(json.dumps({"task": os.environ.get("RP_TASK_ID"), "pilot": os.environ.get("RP_PILOT_ID"), "pid": os.getpid()}))
sys.exit(int(sys.argv[1]))
"""


def two_jobs(request):
    code = int(request["params"].get("exit_code", 7))
    with guarded(request) as (root, _):
        from psij import Job, JobExecutor, JobExecutorConfig, JobSpec

        program = Path("job.py").resolve()
        program.write_text(SCRIPT)
        executor = JobExecutor.get_instance("rp", config=JobExecutorConfig())
        jobs = {}
        for name, argument in (("passing", 0), ("failing", code)):
            folder = root / name
            folder.mkdir()
            spec = JobSpec(sys.executable, ["-I", str(program), str(argument)], directory=folder)
            spec.stdout_path = folder / "stdout.txt"
            jobs[name] = Job(spec)
            executor.submit(jobs[name])
        end = timedelta(seconds=limits(request)[0])
        for job in jobs.values():
            job.wait(timeout=end)
        return {name: describe(job, root / name / "stdout.txt") for name, job in jobs.items()}


def describe(job, stdout):
    status = job.status
    return {
        "native_id": job.native_id,
        "state": status.state.name,
        "exit_code": status.exit_code,
        "metadata": json.loads(json.dumps(status.metadata, default=str)),
        "output": json.loads(stdout.read_text()) if stdout.exists() else None,
    }


if __name__ == "__main__":
    main(two_jobs, __doc__)
