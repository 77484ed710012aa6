"""A sweep as CANDLE's with Swift/T: a program trains for each pair of parameters, and one chooses the best of them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def candle(request):
    import json

    from _swift import HERE, named, program, swift

    rates = request["params"].get("rates", ["0.01", "0.1", "1", "4"])
    steps = request["params"].get("steps", ["5", "50"])
    sweep = named(python=sys.executable, program=HERE / "_candle.py", rates=",".join(rates), steps=",".join(steps))
    done = swift(request, program("candle.swift"), *sweep, procs=4)
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path().glob("*.json"))}
    return {"exit_code": done.returncode, "best": results.pop("best", None), "runs": results}


if __name__ == "__main__":
    main(candle, __doc__)
