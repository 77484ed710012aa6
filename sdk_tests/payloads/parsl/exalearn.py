"""Steering as ExaLearn does with Parsl: simulations, a model trained on their results, and what it chooses next.

The candidates are whole numbers. A simulation returns the value of one, which has its maximum at the target.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def exalearn(request):
    import parsl
    from _parsl import loaded, seconds_left

    target, count, broken = (int(request["params"].get(key, usual)) for key, usual in DEFAULTS.items())

    @parsl.python_app
    def simulate(candidate):
        import os
        import platform
        import time

        began = time.time()
        time.sleep(0.3)
        if candidate == broken:
            raise ArithmeticError(f"the simulation of {candidate} diverges")
        node = next((os.environ[n] for n in ("SLURMD_NODENAME", "EMULATED_NODENAME") if n in os.environ), None)
        value = -(abs(candidate - target) ** 3)
        where = {"pid": os.getpid(), "node": node or platform.node()}
        return {"candidate": candidate, "value": value, "began": began, "ended": time.time(), **where}

    @parsl.python_app
    def train(values):
        """Return the parabola through the three best values, as points and divided differences."""
        best = sorted(values, key=lambda pair: (-pair[1], pair[0]))[:3]
        (a, fa), (b, fb), (c, fc) = best
        first = (fb - fa) / (b - a)
        return {"of": len(values), "points": [a, b], "values": [fa, first, ((fc - fb) / (c - b) - first) / (c - a)]}

    @parsl.python_app
    def choose(model, candidates):
        """Return the two candidates for which the model predicts most."""
        (a, b), (start, first, second) = model["points"], model["values"]
        predicted = {x: start + first * (x - a) + second * (x - a) * (x - b) for x in candidates}
        return sorted(predicted, key=lambda x: (-predicted[x], x))[:2]

    rounds, values, failed = [], {}, {}
    chosen, model, best = [0, count // 2, count - 1], None, None
    with loaded(request, workers=2):
        while chosen:
            futures = {candidate: simulate(candidate) for candidate in chosen}
            raised = {candidate: each.exception(timeout=seconds_left(request)) for candidate, each in futures.items()}
            failed.update({candidate: repr(error) for candidate, error in raised.items() if error})
            done = [each.result() for candidate, each in futures.items() if not raised[candidate]]
            rounds.append({"chosen": chosen, "model": model, "results": done})
            values.update({each["candidate"]: each["value"] for each in done})
            if best == (best := max(values, key=values.get)):
                break  # what the model chose was no better
            model = train(sorted(values.items())).result(timeout=seconds_left(request))
            others = [each for each in range(count) if each not in {*values, *failed}]
            chosen = choose(model, others).result(timeout=seconds_left(request))
    return {"rounds": rounds, "failed": failed, "best": best, "thinker": os.getpid()}


DEFAULTS = {"target": 21, "candidates": 40, "broken": 19}
"""The parameters: the best candidate, the number of candidates, and the one that cannot be simulated."""

if __name__ == "__main__":
    main(exalearn, __doc__)
