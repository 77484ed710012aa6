"""Swift/T: app functions that run programs at the same time, each on a worker, and one that reads their files."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def apps(request):
    import json

    from _swift import program, steps, swift

    Path("arrived").mkdir()
    count = request["params"].get("count", 3)
    done = swift(request, program("apps.swift"), *steps(count=count), procs=count + 1)
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path().glob("*.json"))}
    return {"exit_code": done.returncode, "results": results}


if __name__ == "__main__":
    main(apps, __doc__)
