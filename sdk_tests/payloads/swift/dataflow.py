"""Swift/T: a diamond of programs whose statements are in reverse order; it runs in the order of its data."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def dataflow(request):
    import json

    from _swift import program, steps, swift

    done = swift(request, program("steps.swift"), *steps())
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path().glob("*.json"))}
    return {"exit_code": done.returncode, "results": results}


if __name__ == "__main__":
    main(dataflow, __doc__)
