"""Flux: many jobs of one ``flux submit --cc``, each with its own number, result and final status."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def bulk(request):
    from _instance import flux, instance, jobs

    count = int(request["params"].get("jobs", 100))
    failing = int(request["params"].get("failing_every", 10))
    script = f"echo $((FLUX_JOB_CC * FLUX_JOB_CC)); [ $(((FLUX_JOB_CC + 1) % {failing})) -ne 0 ] || exit 3"
    several = [f"--cc=0-{count - 1}", "--job-name={cc}", "--output={cc}.out", "--wait"]
    with instance(request):
        done = flux("submit", *several, "sh", "-c", script, check=False)
        rows = sorted(jobs(done.stdout.split()), key=lambda row: int(row["name"]))  # the ids are printed in any order
    squares = [int(Path(f"{number}.out").read_text(encoding="utf-8")) for number in range(count)]
    ends = [(row["id"], row["status"], int(row["returncode"])) for row in rows]
    return {"exit_code": done.returncode, "squares": squares, "ends": ends}


if __name__ == "__main__":
    main(bulk, __doc__)
