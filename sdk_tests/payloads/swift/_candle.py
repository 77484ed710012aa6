"""The programs of the sweep: ``train RATE UNITS`` trains a model and prints its loss; ``best FILE...`` prints the best.

The model is a line through points, fitted by gradient descent in so many steps. With a high rate it diverges.
"""

import json
import os
import sys
import time
from pathlib import Path

began = time.time()
verb, *arguments = sys.argv[1:]
if verb == "train":
    rate, steps = float(arguments[0]), int(arguments[1])
    slope, points = 0.0, [(x / 10, 3 * x / 10) for x in range(1, 11)]
    for _ in range(steps):
        slope -= rate * sum(2 * x * (slope * x - y) for x, y in points) / len(points)
    loss = sum((slope * x - y) ** 2 for x, y in points) / len(points)
    answer = {"rate": rate, "steps": steps, "loss": loss, "pid": os.getpid()}
else:
    runs = [json.loads(Path(each).read_text(encoding="utf-8")) for each in arguments]
    finite = [each for each in runs if each["loss"] < 1e6]
    best = min(finite, key=lambda each: each["loss"])
    answer = {"of": len(runs), "diverged": len(runs) - len(finite), "rate": best["rate"], "steps": best["steps"]}
print(json.dumps({**answer, "began": began, "ended": time.time()}))
