"""Swift/T: one run whose workers are spread over all nodes of its allocation, seen by the programs they run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def nodes(request):
    import json

    from _swift import program, steps, swift

    Path("met").mkdir()
    count = 2 * request["nodes"] - 1  # two ranks a node, of which one serves
    done = swift(request, program("apps.swift"), *steps(count=count), procs=count + 1)
    wrote = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path().glob("member-*.json"))]
    return {"exit_code": done.returncode, "count": count, "wrote": wrote}


if __name__ == "__main__":
    main(nodes, __doc__)
