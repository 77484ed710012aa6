"""Swift/T through PSI/J: `swift-t -m psij` submits a run through PSI/J, to a scheduler or locally, and waits for it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def through_psij(request):
    import re
    import subprocess

    from _jobs import CANCEL, job_environment, results_in
    from _swift import program, run_command, seconds_left, steps

    params = {"reads": "getenv", "program": "apps.swift", "count": 3, **request["params"]}
    kind = request["scheduler"]["kind"]
    procs, folder = params["count"] + 1, Path("output").absolute()
    arguments = steps(count=params["count"])
    env = {**job_environment(request, procs, folder), **dict(each[1:].split("=", 1) for each in arguments)}
    env["PSIJ_EXECUTOR"] = (request["scheduler"].get("component_names") or {}).get("psij", kind)
    argv = ["swift-t", "-m", "psij", "-t", "w", "-n", str(procs), program(params["program"], params["reads"])]
    done = None
    try:
        done = run_command([*argv, *arguments], env, seconds_left(request))
    finally:
        output = Path("swift-t.out").read_text(encoding="utf-8", errors="replace")
        ids = re.findall(r"job submitted: ID: (\S+)", output)
        if done is None and kind in CANCEL and ids:
            subprocess.run([CANCEL[kind], *ids], check=False)
    states = re.findall(r"PSI/J job status: (?!None)(\w+)", output)
    started = sorted(path.stem for path in folder.glob("*.json"))
    answer = {"exit_code": done.returncode, "native_ids": ids, "states": states}
    return {**answer, "started": started, "results": results_in(folder)}


if __name__ == "__main__":
    main(through_psij, __doc__)
