"""Swift/T over PSI/J: `swift-t -m psij` hands a run to PSI/J, which runs it here or submits it, and waits."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def through_psij(request):
    import re
    import subprocess

    from _jobs import CANCEL, job_environment, wrote
    from _swift import ended, left, program, steps

    params = {"reads": "getenv", "program": "apps.swift", "count": 3, **request["params"]}
    kind = request["scheduler"]["kind"]
    procs, folder = params["count"] + 1, Path("output").absolute()
    arguments = steps(count=params["count"])
    env = {**job_environment(request, procs, folder), **dict(each[1:].split("=", 1) for each in arguments)}
    env["PSIJ_EXECUTOR"] = (request["scheduler"].get("speaks") or {}).get("psij", kind)
    argv = ["swift-t", "-m", "psij", "-t", "w", "-n", str(procs), program(params["program"], params["reads"])]
    done = None
    try:
        done = ended([*argv, *arguments], env, left(request))
    finally:
        said = Path("swift-t.out").read_text(encoding="utf-8", errors="replace")
        ids = re.findall(r"job submitted: ID: (\S+)", said)
        if done is None and kind in CANCEL and ids:
            subprocess.run([CANCEL[kind], *ids], check=False)
    states = re.findall(r"PSI/J job status: (?!None)(\w+)", said)
    begun = sorted(path.stem for path in folder.glob("*.json"))
    told = {"exit_code": done.returncode, "native_ids": ids, "states": states}
    return {**told, "begun": begun, "wrote": wrote(folder)}


if __name__ == "__main__":
    main(through_psij, __doc__)
