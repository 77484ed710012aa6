"""What every payload shares: read one JSON argument, keep the program's own output apart, print exactly one object.

Standard library only: it runs in the deployment's interpreter, beside whatever is installed there.
"""

import argparse
import json
import os
import platform
import sys
import traceback
from pathlib import Path

# Beside this file lie folders named like components; on the path they would pass for empty packages of that name.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]


NODE_NAMES = ("SLURMD_NODENAME", "EMULATED_NODENAME")
"""Variables that name the node a process is on, where several nodes share one machine and so one host name."""


def node():
    """Return the name the scheduler has for the node this process is on."""
    return next((os.environ[name] for name in NODE_NAMES if name in os.environ), None) or platform.node()


def main(function, description):
    """Call ``function(request)`` and print the JSON object it returns; exit 1 with a traceback if it raises.

    The program's own stdout, and that of every child it starts, goes to stderr: file descriptor 1 is kept aside and
    used once, for the answer.
    """
    parser = argparse.ArgumentParser(
        description=description,
        epilog="""By hand: python PAYLOAD '{"scheduler": {"kind": "local"}}' (the scratch
        folder is then the current one)""",
    )
    parser.add_argument("request", nargs="?", default="{}", help="a JSON object: params, scheduler, scratch")
    given = json.loads(parser.parse_args().request)
    request = {"params": {}, "scheduler": {"kind": "local"}, "scratch": os.getcwd(), "nodes": 1}
    request.update(given)
    os.makedirs(request["scratch"], exist_ok=True)
    os.chdir(request["scratch"])
    kept = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        answer = function(request)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    with os.fdopen(kept, "w", encoding="utf-8") as channel:
        json.dump(answer, channel)
        channel.write("\n")
    sys.stderr.flush()
    # Some components leave non-daemon threads or exit handlers that hang; the answer is given, so leave at once.
    os._exit(0)
