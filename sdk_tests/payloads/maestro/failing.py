"""Maestro: a step whose program exits with 3, the step that depends on it, and independent steps."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def failing(request):
    from _maestro import run, step

    numbers = request["params"].get("numbers", [2, 13])
    steps = [
        step("square", "$(NUMBER)", into="square.json"),
        step("after", "$(square.workspace)/square.json", depends=["square"], into="after.json"),
    ]
    return run(request, steps, {"NUMBER": numbers})


if __name__ == "__main__":
    main(failing, __doc__)
