"""Imports the Python modules that the facility's users need, and reports the version of each.

By hand: python payloads/imports.py '{"params": {"modules": ["json", "parsl"]}}'
"""

import importlib
import json
import platform
import sys


def imports(request):
    versions, errors = {}, {}
    for name in request["params"]["modules"]:
        try:
            versions[name] = str(getattr(importlib.import_module(name), "__version__", "unknown"))
        except ImportError as error:
            errors[name] = str(error)
    return {"node": platform.node(), "python": platform.python_version(), "versions": versions, "errors": errors}


if __name__ == "__main__":
    # The harness passes one JSON object as the last argument, and reads one JSON object from stdout.
    # Everything else that a payload prints has to go to stderr.
    print(json.dumps(imports(json.loads(sys.argv[1]))))
