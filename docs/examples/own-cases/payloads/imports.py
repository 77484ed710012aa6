"""Imports the Python modules that the facility's users need, and reports the version of each.

By hand: python payloads/imports.py '{"params": {"modules": ["json", "parsl"]}}'
"""

import importlib
import platform

from _answer import main


def imports(request):
    versions, errors = {}, {}
    for name in request["params"]["modules"]:
        try:
            versions[name] = str(getattr(importlib.import_module(name), "__version__", "unknown"))
        except ImportError as error:
            errors[name] = str(error)
    return {"node": platform.node(), "python": platform.python_version(), "versions": versions, "errors": errors}


if __name__ == "__main__":
    main(imports)
