"""Parsl: a diamond of futures; each app runs after the apps whose futures are its arguments, and gets their values."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def diamond(request):
    import parsl
    from _parsl import loaded, seconds_left

    @parsl.python_app
    def step(name, *before):
        """Compute a value from those of the steps before this one; return it with the start and end times."""
        import time

        began = time.time()
        values = [one["value"] if isinstance(one, dict) else one for one in before]
        value = {
            "top": lambda x: x + 1,
            "left": lambda x: x * 10,
            "right": lambda x: x * x,
            "bottom": lambda x, y: x - y,
        }
        return {"value": value[name](*values), "began": began, "ended": time.time()}

    with loaded(request, workers=2):
        top = step("top", request["params"].get("number", 4))
        sides = [step("left", top), step("right", top)]
        futures = {"top": top, "left": sides[0], "right": sides[1], "bottom": step("bottom", *sides)}
        return {name: future.result(timeout=seconds_left(request)) for name, future in futures.items()}


if __name__ == "__main__":
    main(diamond, __doc__)
