"""Maestro: a study with one step for each number, and a last step that waits for all and reads their results."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def study(request):
    from _maestro import run, step

    numbers = request["params"].get("numbers", [2, 3, 7])
    steps = [
        step("square", "$(NUMBER)", into="square.json"),
        step("total", "$(square.workspace)/*/square.json", depends=["square_*"], into="total.json"),
    ]
    return run(request, steps, {"NUMBER": numbers})


if __name__ == "__main__":
    main(study, __doc__)
