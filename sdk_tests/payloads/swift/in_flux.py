"""Swift/T in Flux: the ranks of a run are one job of an instance, started by Swift/T or, compiled before, by Flux."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

LEADS = ("FLUX_", "PMI_", "PMIX_")
"""Prefixes of variables that lead to another instance than the one that is started here."""


def in_flux(request):
    import os

    from _jobs import wrote
    from _swift import codes, ended, flux_run, left, pmi, program, steps

    params, nodes = {"by": "swift-t", "program": "apps.swift", "count": 3, **request["params"]}, request["nodes"]
    kind, procs, source = request["scheduler"]["kind"], params["count"] + 1, program(params["program"])
    env, start = {**os.environ, **pmi()}, []
    if kind != "flux":
        env = {name: value for name, value in env.items() if not name.startswith(LEADS)}
        start = ["flux", "start"]
    if kind == "slurm":
        start = ["srun", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", *start]
    arguments = steps(count=params["count"])
    argv = ["swift-t", "-n", str(procs), source, *arguments]
    Path("met").mkdir()
    if params["by"] == "flux":
        compiled = ended(["stc", source, "run.tic"], env, left(request))
        if compiled.returncode:
            return {"exit_code": compiled.returncode, "said": [], "wrote": {}}
        argv = [flux_run(procs, nodes), "-n", str(procs), "turbine-pilot", "run.tic", *arguments]
    else:
        env["TURBINE_LAUNCHER"] = flux_run(procs, nodes)
    done = ended([*start, *argv], env, left(request))
    return {"exit_code": done.returncode, "procs": procs, "said": codes(done.stdout), "wrote": wrote(".")}


if __name__ == "__main__":
    main(in_flux, __doc__)
