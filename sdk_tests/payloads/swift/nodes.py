"""Swift/T: one run whose workers are on all nodes of its allocation; the programs report their nodes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def nodes(request):
    import json

    from _swift import program, steps, swift

    Path("arrived").mkdir()
    count = 2 * request["nodes"] - 1  # two ranks on each node; one of them all is the server
    done = swift(request, program("apps.swift"), *steps(count=count), procs=count + 1)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path().glob("member-*.json"))]
    return {"exit_code": done.returncode, "count": count, "results": results}


if __name__ == "__main__":
    main(nodes, __doc__)
