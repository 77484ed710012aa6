"""Swift/T: a run submitted as a batch job by `swift-t -m` with the name of the scheduler, and followed to its end."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def submit(request):
    import re

    from _jobs import followed, job_environment, launched, wrote
    from _swift import HERE, ended, left, program, steps

    params, kind = {"program": "apps.swift", "count": 3, **request["params"]}, request["scheduler"]["kind"]
    procs, folder = params["count"] + 1, Path("output").absolute()
    env = {**job_environment(request, procs, folder), **launched(kind, procs)}
    argv = ["swift-t", "-m", kind, "-n", str(procs), "-r", str(HERE / "leaves"), program(params["program"])]
    done = ended([*argv, *steps(count=params["count"])], env, left(request))
    if done.returncode:
        return {"submitted": False, "exit_code": done.returncode}
    job = (folder / "jobid.txt").read_text(encoding="utf-8").strip()
    said = followed(request, job)
    printed = (folder / "output.txt").read_text(encoding="utf-8", errors="replace")
    print(printed)
    codes = [int(code) for code in re.findall(r"^EXIT CODE:\s*(\d+)", printed, re.MULTILINE)]
    return {"submitted": True, "job_id": job, "said": said, "logged": codes, "wrote": wrote(folder)}


if __name__ == "__main__":
    main(submit, __doc__)
