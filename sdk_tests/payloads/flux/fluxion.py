"""Flux: which module schedules jobs, and whether flux-sched's Fluxion is there to do it."""

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def fluxion(request):
    from _instance import ended, flux, instance

    with instance(request):
        folders = flux("env", "printenv", "FLUX_MODULE_PATH").split(os.pathsep)
        prefix = Path(shutil.which("flux")).resolve().parent.parent
        folders += [str(folder) for folder in prefix.glob("lib*/flux/modules")]
        found = sorted({str(each) for folder in folders if folder for each in Path(folder).glob("sched-fluxion-*.so")})
        rows = [line.split() for line in flux("module", "list").splitlines()]
        schedules = [row[0] for row in rows if "sched" in row[-1].split(",")]
        (job,) = ended(flux("submit", "true"))
    told = "FLUX_MODPROBE_PATH_APPEND" in os.environ  # by which a deployment makes Flux load what is beside it
    return {"folders": folders, "found": found, "told": told, "schedules": schedules, "job": job["status"]}


if __name__ == "__main__":
    main(fluxion, __doc__)
