"""Parsl: what one load has checkpointed, the next load returns without running it again; what failed is run again."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def checkpoint(request):
    import parsl
    from _parsl import left, loaded
    from parsl.dataflow.memoization import BasicMemoizer

    @parsl.python_app(cache=True)
    def square(log, number):
        with open(log, "a") as file:
            file.write(f"{number}\n")
        return number * number

    @parsl.python_app(cache=True)
    def second_time(log, marker):
        import os

        with open(log, "a") as file:
            file.write("second_time\n")
        if not os.path.exists(marker):
            open(marker, "w").close()
            raise RuntimeError("not yet")
        return "done"

    log, marker = str(Path("ran.txt").absolute()), str(Path("tried.txt").absolute())
    numbers = list(range(int(request["params"].get("numbers", 4))))

    def load(wanted):
        """Load Parsl with what earlier loads have left in its run folder, ask for squares, and see what ran."""
        before = len(ran())
        with loaded(request, memoizer=BasicMemoizer(checkpoint_mode="task_exit")):
            futures = [square(log, number) for number in wanted]
            trying = second_time(log, marker)
            values = [future.result(timeout=left(request)) for future in futures]
            error = trying.exception(timeout=left(request))
        return {"values": values, "error": repr(error) if error else None, "ran": sorted(ran()[before:])}

    def ran():
        path = Path(log)
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    return {"first": load(numbers), "second": load([*numbers, len(numbers)])}


if __name__ == "__main__":
    main(checkpoint, __doc__)
