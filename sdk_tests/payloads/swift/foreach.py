"""Swift/T: a loop of a hundred tasks, each a leaf function in Tcl that leaves a trace, and the sum of their values."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def foreach(request):
    from _swift import named, numbers, program, swift

    traces = Path("ran")
    traces.mkdir()
    count = request["params"].get("count", 100)
    done = swift(request, program("foreach.swift"), *named(count=count))
    ran = {path.name: int(path.read_text(encoding="utf-8")) for path in traces.iterdir()}
    return {"exit_code": done.returncode, **numbers(done.stdout), "ran": ran}


if __name__ == "__main__":
    main(foreach, __doc__)
