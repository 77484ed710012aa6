"""Shared by all payloads: read the request, keep other output away from stdout, and print exactly one JSON object.

It uses the standard library only, because it runs in the deployment's interpreter with whatever is installed there.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
import traceback
from pathlib import Path

import _bindings  # noqa: F401  (stays importable for the payloads' helpers after its folder has left the path)

# The folders beside this file have the names of components; on the path, Python would import them as empty packages.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]


MAIN = os.getpid()
ENDED = "ended by SIGTERM"
"""With this message a payload ends on SIGTERM."""
began = time.monotonic()
"""When the payload began."""
hosted = False
"""Whether payloads run in this process one after another, as ``_fixture.py`` does it."""
NODE_NAMES = ("SLURMD_NODENAME", "EMULATED_NODENAME")
"""Variables that name the node of a process; needed if several nodes share one machine and therefore one host name."""


def node():
    """Return the scheduler's name of the node on which this process runs."""
    return next((os.environ[name] for name in NODE_NAMES if name in os.environ), None) or platform.node()


def exit_on_sigterm(*_):
    """Exit through an exception on the first SIGTERM, so that cleanup runs; ignore further ones."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.getpid() != MAIN:  # a forked process has nothing to clean up
        os._exit(128 + signal.SIGTERM)
    sys.exit(ENDED)


def main(function, description):
    """Call ``function(request)`` and print the JSON object it returns; exit 1 with a traceback if it raises.

    Everything that the function and its child processes write to stdout goes to stderr. The original stdout is used
    once, for the answer. On SIGTERM the function ends with an exception, so that it can cancel its jobs; the harness
    kills a payload that has not ended 3 s later. In the process of a fixture, it raises and returns instead of exiting.
    """
    global began
    began = time.monotonic()
    if not hosted:
        signal.signal(signal.SIGTERM, exit_on_sigterm)
    parser = argparse.ArgumentParser(
        description=description,
        epilog="""By hand: python PAYLOAD '{"scheduler": {"kind": "local"}}' (the current folder is then the scratch
        folder)""",
    )
    parser.add_argument("request", nargs="?", default="{}", help="a JSON object: params, scheduler, scratch")
    request = {"params": {}, "scheduler": {"kind": "local"}, "scratch": os.getcwd(), "nodes": 1}
    request.update(json.loads(parser.parse_args().request))
    if request.get("bin"):  # in a record, the home folder is written as ~
        request["bin"] = os.path.expanduser(request["bin"])
    os.makedirs(request["scratch"], exist_ok=True)
    os.chdir(request["scratch"])
    stdout = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        answer = function(request)
    except BaseException:
        if hosted:
            os.close(stdout)
            raise
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    with os.fdopen(stdout, "w", encoding="utf-8") as channel:
        frame = request.get("frame")
        if frame:  # with these two lines, the harness finds the answer among other output, such as a site's banner
            channel.write(f"\n<<exaworks-answer {frame}\n")
        json.dump(answer, channel)
        channel.write("\n")
        if frame:
            channel.write(f"exaworks-answer {frame}>>\n")
    sys.stderr.flush()
    # Some components leave non-daemon threads or exit handlers that hang. The answer is written, so exit at once.
    if not hosted:
        os._exit(0)
