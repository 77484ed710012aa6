"""Flux: jobs that depend on other jobs; each runs, or not, depending on how those ended, and in the right order."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def dependencies(request):
    from _instance import flux, instance, wait_for_end

    ids = {}

    def submit(
        name, after=None, code=0
    ):  # the first job is held, since Flux refuses a dependency that can no longer be satisfied
        wants = [f"--dependency={after[0]}:{ids[after[1]]}"] if after else ["--urgency=hold"]
        ids[name] = flux("submit", *wants, "sh", "-c", f"touch {name}.ran; sleep 0.2; exit {code}")

    with instance(request):
        submit("first")
        submit("after_first", ("afterok", "first"))
        submit("fails", ("afterany", "after_first"), code=3)
        submit("after_failure", ("afterok", "fails"))
        submit("only_after_failure", ("afternotok", "fails"))
        submit("after_any", ("afterany", "fails"))
        flux("job", "urgency", ids["first"], "default")
        rows = dict(zip(ids, wait_for_end(*ids.values()), strict=True))
    return {
        name: {
            "status": row["status"],
            "returncode": row["returncode"],
            "note": row["exception.note"],
            "began": float(row["t_run"] or 0),
            "ended": float(row["t_cleanup"] or 0),
            "ran": Path(f"{name}.ran").exists(),
        }
        for name, row in rows.items()
    }


if __name__ == "__main__":
    main(dependencies, __doc__)
