"""Flux: which module schedules jobs, and whether flux-sched's Fluxion is installed."""

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def fluxion(request):
    from _instance import flux, instance, wait_for_end

    with instance(request):
        folders = flux("env", "printenv", "FLUX_MODULE_PATH").split(os.pathsep)
        prefix = Path(shutil.which("flux")).resolve().parent.parent
        folders += [str(folder) for folder in prefix.glob("lib*/flux/modules")]
        modules = sorted(
            {str(each) for folder in folders if folder for each in Path(folder).glob("sched-fluxion-*.so")}
        )
        rows = [line.split() for line in flux("module", "list").splitlines()]
        schedulers = [row[0] for row in rows if "sched" in row[-1].split(",")]
        (job,) = wait_for_end(flux("submit", "true"))
    path_set = "FLUX_MODPROBE_PATH_APPEND" in os.environ  # with it a deployment makes Flux load flux-sched's modules
    answer = {"folders": folders, "fluxion_modules": modules, "module_path_set": path_set}
    return {**answer, "loaded_schedulers": schedulers, "job": job["status"]}


if __name__ == "__main__":
    main(fluxion, __doc__)
