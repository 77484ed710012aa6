"""Run apps in the workers of Parsl's HighThroughputExecutor: python htex.py VERSION."""

import os
import sys
from pathlib import Path

os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

import parsl  # after PATH is set, where it searches its programs
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

# Spack's version may have leading zeros where Parsl's has none, and the other way round.
expected = [int(part) for part in sys.argv[1].split(".")]
assert [int(part) for part in parsl.__version__.split(".")] == expected, parsl.__version__


@parsl.python_app
def square(number):
    import os

    return number * number, os.getpid()


executor = HighThroughputExecutor(
    address="127.0.0.1",
    max_workers_per_node=1,
    cores_per_worker=0.1,
    provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
)
with parsl.load(
    Config([executor], run_dir=str(Path.cwd() / "runinfo"), strategy="none", strategy_period=0.2)
):
    answers = [future.result(timeout=120) for future in [square(number) for number in range(4)]]
assert [answer for answer, _ in answers] == [0, 1, 4, 9], answers
assert os.getpid() not in {pid for _, pid in answers}, "the apps ran in this process"
