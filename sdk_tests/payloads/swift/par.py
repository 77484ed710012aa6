"""Swift/T: parallel tasks of two ranks each, with a communicator over which one rank sends a number to the other."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def par(request):
    from _swift import numbers, program, swift

    traces = Path("traces")
    traces.mkdir()
    done = swift(request, program("par.swift"), procs=4)
    ranks = {}
    for path in sorted(traces.iterdir()):
        rank, size, pid = map(int, path.read_text(encoding="utf-8").split())
        ranks[path.name] = {"rank": rank, "size": size, "pid": pid}
    return {"exit_code": done.returncode, **numbers(done.stdout), "ranks": ranks}


if __name__ == "__main__":
    main(par, __doc__)
