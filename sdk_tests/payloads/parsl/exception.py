"""Parsl: an exception of an app is raised by its future, and stops the apps that depend on it and no others."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def exception(request):
    import parsl
    from _parsl import loaded, seconds_left

    @parsl.python_app
    def divide(number, by):
        if by == 0:
            raise ArithmeticError(f"{number} by nothing")
        return number / by

    with loaded(request):
        number = request["params"].get("number", 84)
        fails, works = divide(number, 0), divide(number, 2)
        depends = divide(fails, 2)
        error, stopped = (future.exception(timeout=seconds_left(request)) for future in (fails, depends))
        other = works.result(timeout=seconds_left(request))
    return {
        "type": type(error).__name__,
        "message": str(error),
        "dependent": type(stopped).__name__,
        "dependent_because_of": str(stopped.__cause__),
        "other": other,
    }


if __name__ == "__main__":
    main(exception, __doc__)
