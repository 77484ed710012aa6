"""Swift/T: an app whose program exits with 3; the run ends before the program that depends on it starts."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def failing(request):
    from _swift import exit_code_lines, program, steps, swift

    done = swift(request, program("failing.swift"), *steps())
    answer = {"exit_code": done.returncode, "messages": exit_code_lines(done.stdout)}
    return {**answer, "dependent_ran": Path("after.json").exists()}


if __name__ == "__main__":
    main(failing, __doc__)
