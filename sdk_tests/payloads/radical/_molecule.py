"""The programs of the steered simulations; each writes JSON with its results and its start and end times to a file.

``simulate OUT START STEPS``: a walk from START, ``train OUT WALK...``: a model of walks, ``choose OUT COUNT MODEL
WALK...``: the positions from which the next walks start. A walk from below zero exits with 3.
"""

import json
import sys
import time
from pathlib import Path

began = time.time()
verb, output, *arguments = sys.argv[1:]


def read(paths):
    return [json.loads(Path(each).read_text(encoding="utf-8")) for each in paths]


if verb == "simulate":
    position, steps = map(int, arguments)
    if position < 0:
        sys.exit(3)
    walk, state = [position], position
    for _ in range(steps):
        state = (1103515245 * state + 12345) % 2**31
        walk.append(walk[-1] + state // 65536 % 21 - 10)
    answer = {"walk": walk}
elif verb == "train":
    positions = [each for walk in read(arguments) for each in walk["walk"]]
    answer = {"mean": round(sum(positions) / len(positions)), "of": len(positions)}
else:
    model, *walks = read(arguments[1:])
    far = sorted(
        {max(0, each) for walk in walks for each in walk["walk"]}, key=lambda at: (-abs(at - model["mean"]), at)
    )
    answer = {"starts": far[: int(arguments[0])]}
partly = Path(output + ".part")
partly.write_text(json.dumps({**answer, "began": began, "ended": time.time()}), encoding="utf-8")
partly.rename(output)
