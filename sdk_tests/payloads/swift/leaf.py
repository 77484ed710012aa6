"""Swift/T: leaf functions in Tcl or, if Turbine was built with it, in Python."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

ABSENT = "Turbine not compiled with Python support"
"""The message of a Turbine 1.5 that was built without Python."""


def leaf(request):
    from _swift import answers, named, program, swift

    language, text = request["params"].get("language", "tcl"), request["params"].get("text", "Leaf")
    done = swift(request, program(f"leaf_{language}.swift"), *named(text=text))
    return {"built": ABSENT not in done.stdout, "exit_code": done.returncode, **answers(done.stdout)}


if __name__ == "__main__":
    main(leaf, __doc__)
