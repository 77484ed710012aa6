"""Shared by the libEnsemble payloads: an ensemble that evaluates given numbers, with a manager and local workers.

By hand, libEnsemble starts with its own options: ``python SCRIPT --comms local --nworkers 3``.
"""

import json
import time
from pathlib import Path

import numpy as np
from libensemble.libE import libE

STARTED = time.monotonic()
PROGRAM = Path(__file__).resolve().parent / "_program.py"
WIDTH = 2000
"""Characters of a simulation's answer in the history, which is a numpy array with fixed types."""


def numbers_in_batches(history, persis_info, gen_specs, _=None):
    """Generate the next batch: the given numbers first, then the successor of the largest result so far."""
    batch = gen_specs["user"]["numbers"]
    if len(history):  # the generator reads the results of the simulations, as an optimiser does
        batch = [int(history["f"][history["sim_ended"]].max()) + 1]
    out = np.zeros(len(batch), dtype=gen_specs["out"])
    out["x"] = batch
    return out, persis_info


def run(request, simulate, workers=3):
    """Run the ensemble and return a row for each evaluated number: its value, its worker and the simulation's answer.

    simulate: a function of a number that returns a dictionary with ``square``; it runs in a worker's process.
    """
    numbers = request["params"].get("numbers", [2, 3, 5, -7])

    def simulation(points, persis_info, sim_specs, libE_info):
        out = np.zeros(1, dtype=sim_specs["out"])
        answer = simulate(int(points["x"][0]), libE_info)
        out["f"], out["answer"] = answer.get("square", -1), json.dumps(answer)
        return out, persis_info

    sim_specs = {"sim_f": simulation, "in": ["x"], "out": [("f", float), ("answer", f"U{WIDTH}")]}
    gen_specs = {
        "gen_f": numbers_in_batches,
        "in": ["x", "f", "sim_ended"],
        "out": [("x", float)],
        "user": {"numbers": numbers},
    }
    specs = {"comms": "local", "nworkers": workers, "disable_resource_manager": True}
    batches = {"user": {"num_active_gens": 1, "batch_mode": True}}  # the generator waits for all results of a batch
    limits = {"sim_max": len(numbers) + 1, "wallclock_max": seconds_left(request)}
    history, _, flag = libE(
        sim_specs, gen_specs, limits, {w: {} for w in range(workers + 1)}, alloc_specs=batches, libE_specs=specs
    )
    rows = [
        {"number": int(row["x"]), "value": int(row["f"]), "worker": int(row["sim_worker"]), **json.loads(row["answer"])}
        for row in history[history["sim_ended"]]
    ]
    return {"flag": flag, "rows": rows, "generated_by": sorted({int(row["gen_worker"]) for row in history})}


def seconds_left(request):
    """Return the seconds until this payload's time limit."""
    limit = request.get("limit") or request.get("walltime") or 120
    return max(1.0, STARTED + 0.9 * limit - time.monotonic())
