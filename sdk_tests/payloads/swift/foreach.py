"""Swift/T: a loop of a hundred tasks, each a Tcl leaf function that writes its rank to a file, and their sum."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def foreach(request):
    from _swift import named, numbers, program, swift

    traces = Path("traces")
    traces.mkdir()
    count = request["params"].get("count", 100)
    done = swift(request, program("foreach.swift"), *named(count=count))
    ranks = {path.name: int(path.read_text(encoding="utf-8")) for path in traces.iterdir()}
    return {"exit_code": done.returncode, **numbers(done.stdout), "ranks": ranks}


if __name__ == "__main__":
    main(foreach, __doc__)
