"""Swift/T in Flux: the ranks of a run are one Flux job, started by Swift/T or, for a compiled program, by Flux."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

INSTANCE_VARIABLES = ("FLUX_", "PMI_", "PMIX_")
"""Prefixes of variables that point to another instance than the one that this payload starts."""


def in_flux(request):
    import os

    from _jobs import results_in
    from _swift import exit_code_lines, flux_run, pmi, program, run_command, seconds_left, steps

    params, nodes = {"by": "swift-t", "program": "apps.swift", "count": 3, **request["params"]}, request["nodes"]
    kind, procs, source = request["scheduler"]["kind"], params["count"] + 1, program(params["program"])
    env, start = {**os.environ, **pmi()}, []
    if kind != "flux":
        env = {name: value for name, value in env.items() if not name.startswith(INSTANCE_VARIABLES)}
        start = ["flux", "start"]
    if kind == "slurm":
        start = ["srun", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", *start]
    arguments = steps(count=params["count"])
    argv = ["swift-t", "-n", str(procs), source, *arguments]
    Path("arrived").mkdir()
    if params["by"] == "flux":
        compiled = run_command(["stc", source, "run.tic"], env, seconds_left(request))
        if compiled.returncode:
            return {"exit_code": compiled.returncode, "messages": [], "results": {}}
        argv = [flux_run(procs, nodes), "-n", str(procs), "turbine-pilot", "run.tic", *arguments]
    else:
        env["TURBINE_LAUNCHER"] = flux_run(procs, nodes)
    done = run_command([*start, *argv], env, seconds_left(request))
    answer = {"exit_code": done.returncode, "procs": procs, "messages": exit_code_lines(done.stdout)}
    return {**answer, "results": results_in(".")}


if __name__ == "__main__":
    main(in_flux, __doc__)
