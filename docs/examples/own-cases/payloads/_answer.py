"""Reads the request of a payload and prints its answer; copy this file into your own repository.

It needs only the Python standard library, because it runs in the interpreter of the deployment under test.
"""

import json
import os
import sys


def main(function):
    """Call ``function(request)`` and print the JSON object that it returns; an exception ends the payload with 1.

    Everything that the function and the programs that it starts print goes to stderr; only the answer goes to stdout.
    """
    request = {"params": {}, "scheduler": {"kind": "local"}, "scratch": os.getcwd(), "nodes": 1}
    request.update(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})
    stdout = os.dup(1)
    os.dup2(2, 1)
    text = json.dumps(function(request))
    frame = request.get("frame")
    if frame:  # with these two lines, the harness finds the answer even if a batch job prints a banner
        text = f"\n<<exaworks-answer {frame}\n{text}\nexaworks-answer {frame}>>"
    with os.fdopen(stdout, "w", encoding="utf-8") as file:
        print(text, file=file)
