"""What a process may use of its node's GPUs. ``python _gpus.py FOLDER NUMBER COUNT SECONDS`` prints that as JSON.

As a program it first waits in FOLDER until COUNT of its kind are there, so that all hold their GPUs at the same time.
"""

import ctypes
import json
import os
import platform
import sys
import time
from pathlib import Path

VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
LIBRARIES = {
    "libcuda.so.1": ("cuInit", "cuDeviceGetCount", "cuDeviceGetPCIBusId"),
    "libamdhip64.so": ("hipInit", "hipGetDeviceCount", "hipDeviceGetPCIBusId"),
}
"""The makers' libraries, each with its first call, that which counts and that which tells an address."""


def addresses():
    """Return the PCI addresses of the GPUs that the maker's library shows this process; None without a library."""
    for name, calls in LIBRARIES.items():
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        first, counting, address = (getattr(library, call) for call in calls)
        count, text = ctypes.c_int(), ctypes.create_string_buffer(64)
        if first(0) or counting(ctypes.byref(count)):
            return []
        return [text.value.decode() for device in range(count.value) if not address(text, len(text), device)]
    return None


def seen():
    """Return what leads this process to its GPUs, and which those are as far as anything here can tell."""
    variables = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    return {"pid": os.getpid(), "node": platform.node(), "variables": variables, "addresses": addresses()}


def met(folder, number, count, seconds):
    """Wait until ``count`` processes are here, each by its number.

    Raises:
        TimeoutError: fewer came.
    """
    Path(folder, str(number)).touch()
    end = time.monotonic() + seconds
    while (here := len(list(Path(folder).iterdir()))) < count:
        if time.monotonic() > end:
            raise TimeoutError(f"{here} of {count} met in {seconds:.0f} s")
        time.sleep(0.05)


if __name__ == "__main__":
    met(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    print(json.dumps(seen()))
