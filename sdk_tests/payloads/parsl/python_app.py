"""Parsl: a python_app runs in a worker of the HighThroughputExecutor and returns a computed value."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def python_app(request):
    import parsl
    from _parsl import loaded, seconds_left

    @parsl.python_app
    def power(base, exponent):
        import os
        import platform

        names = ("SLURMD_NODENAME", "EMULATED_NODENAME")
        node = next((os.environ[name] for name in names if name in os.environ), None) or platform.node()
        return {"value": base**exponent, "node": node, "worker": os.getpid()}

    given = {"base": 3, "exponent": 50, **request["params"]}
    with loaded(request):
        answer = power(given["base"], given["exponent"]).result(timeout=seconds_left(request))
    return {**answer, "submitter": os.getpid()}


if __name__ == "__main__":
    main(python_app, __doc__)
