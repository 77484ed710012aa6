"""Swift/T: `swift-t -m SCHEDULER` submits a run as a batch job; the payload waits for its end."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def submit(request):
    import re

    from _jobs import job_environment, job_launcher, results_in, wait_for_job
    from _swift import HERE, program, run_command, seconds_left, steps

    params, kind = {"program": "apps.swift", "count": 3, **request["params"]}, request["scheduler"]["kind"]
    procs, folder = params["count"] + 1, Path("output").absolute()
    env = {**job_environment(request, procs, folder), **job_launcher(kind, procs)}
    argv = ["swift-t", "-m", kind, "-n", str(procs), "-r", str(HERE / "leaves"), program(params["program"])]
    done = run_command([*argv, *steps(count=params["count"])], env, seconds_left(request))
    if done.returncode:
        return {"submitted": False, "exit_code": done.returncode}
    job = (folder / "jobid.txt").read_text(encoding="utf-8").strip()
    status = wait_for_job(request, job)
    output = (folder / "output.txt").read_text(encoding="utf-8", errors="replace")
    print(output)
    codes = [int(code) for code in re.findall(r"^EXIT CODE:\s*(\d+)", output, re.MULTILINE)]
    answer = {"submitted": True, "job_id": job, "job": status, "logged_exit_codes": codes}
    return {**answer, "results": results_in(folder)}


if __name__ == "__main__":
    main(submit, __doc__)
