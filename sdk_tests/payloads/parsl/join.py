"""Parsl: a recursive join_app returns the values of the futures that it returns, or the failure of one of them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def join(request):
    import parsl
    from _parsl import loaded, seconds_left

    @parsl.python_app
    def add(*numbers):
        import os

        return {
            "value": sum(each["value"] for each in numbers),
            "pids": [p for each in numbers for p in each["pids"]] + [os.getpid()],
        }

    @parsl.python_app
    def one():
        import os

        return {"value": 1, "pids": [os.getpid()]}

    @parsl.python_app
    def fail():
        raise LookupError("no such leaf")

    @parsl.join_app
    def fibonacci(n):
        return one() if n < 2 else add(fibonacci(n - 1), fibonacci(n - 2))

    @parsl.join_app
    def several(numbers):
        return [fibonacci(number) if number >= 0 else fail() for number in numbers]

    depth = int(request["params"].get("depth", 6))
    with loaded(request):
        deep, wide, broken = fibonacci(depth), several([0, 2, 3]), several([1, -1])
        total, values = deep.result(timeout=seconds_left(request)), wide.result(timeout=seconds_left(request))
        error = broken.exception(timeout=seconds_left(request))
    reasons = [str(reason) for reason, _ in getattr(error, "dependent_exceptions_tids", [])]
    return {
        "value": total["value"],
        "tasks": len(total["pids"]),
        "workers": sorted(set(total["pids"])),
        "wide": [each["value"] for each in values],
        "error": type(error).__name__,
        "reasons": reasons,
    }


if __name__ == "__main__":
    main(join, __doc__)
