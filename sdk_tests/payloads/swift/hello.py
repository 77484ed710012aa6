"""Swift/T: a program is compiled and run with numbers from its command line."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def hello(request):
    from _swift import named, numbers, program, swift

    params = {"base": 7, "exponent": 20, **request["params"]}
    procs = params.get("procs", 3)
    done = swift(
        request,
        program("hello.swift"),
        *named(base=params["base"], exponent=params["exponent"]),
        procs=procs,
    )
    return {"exit_code": done.returncode, "procs": procs, **numbers(done.stdout)}


if __name__ == "__main__":
    main(hello, __doc__)
