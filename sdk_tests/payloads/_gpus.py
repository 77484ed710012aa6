"""Reports which GPUs of its node a process may use: ``python _gpus.py FOLDER NUMBER COUNT SECONDS`` prints JSON.

It first waits in FOLDER until COUNT processes have arrived, so that all of them hold their GPUs at the same time.
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
"""The vendors' libraries, each with its functions to initialise, to count devices, and to return a device's address."""


def addresses():
    """Return the PCI addresses of the GPUs that the vendor's library shows this process; None without a library."""
    for name, functions in LIBRARIES.items():
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        initialise, count_devices, read_address = (getattr(library, function) for function in functions)
        count, text = ctypes.c_int(), ctypes.create_string_buffer(64)
        if initialise(0) or count_devices(ctypes.byref(count)):
            return []
        return [text.value.decode() for device in range(count.value) if not read_address(text, len(text), device)]
    return None


def visible_gpus():
    """Return the variables that assign GPUs to this process, and the addresses of these GPUs if they can be read."""
    variables = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    return {"pid": os.getpid(), "node": platform.node(), "variables": variables, "addresses": addresses()}


def wait_for_all(folder, number, count, seconds):
    """Wait until ``count`` processes have arrived; this one has the given number.

    Raises:
        TimeoutError: fewer processes arrived in time.
    """
    Path(folder, str(number)).touch()
    end = time.monotonic() + seconds
    while (arrived := len(list(Path(folder).iterdir()))) < count:
        if time.monotonic() > end:
            raise TimeoutError(f"{arrived} of {count} processes arrived within {seconds:.0f} s")
        time.sleep(0.05)


if __name__ == "__main__":
    wait_for_all(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    print(json.dumps(visible_gpus()))
