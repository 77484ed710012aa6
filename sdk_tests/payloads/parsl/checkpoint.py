"""Parsl: a second load returns checkpointed results without running their apps again; failed apps run again."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def checkpoint(request):
    import parsl
    from _parsl import loaded, seconds_left
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
        """Load Parsl with the run folder of earlier loads, request squares, and report which apps ran."""
        before = len(ran())
        with loaded(request, memoizer=BasicMemoizer(checkpoint_mode="task_exit")):
            futures = [square(log, number) for number in wanted]
            trying = second_time(log, marker)
            values = [future.result(timeout=seconds_left(request)) for future in futures]
            error = trying.exception(timeout=seconds_left(request))
        return {"values": values, "error": repr(error) if error else None, "ran": sorted(ran()[before:])}

    def ran():
        path = Path(log)
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    return {"first": load(numbers), "second": load([*numbers, len(numbers)])}


if __name__ == "__main__":
    main(checkpoint, __doc__)
