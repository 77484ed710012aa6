"""Swift/T: an app whose program exits with 3, which ends the run, before what depends on it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def failing(request):
    from _swift import codes, program, steps, swift

    done = swift(request, program("failing.swift"), *steps())
    return {"exit_code": done.returncode, "said": codes(done.stdout), "after": Path("after.json").exists()}


if __name__ == "__main__":
    main(failing, __doc__)
