"""Compare the compiled clock with Python's: python clock.py VERSION PROGRAM."""

import subprocess
import sys
import time
from importlib.metadata import version

assert version("radical.gtod") == sys.argv[1], version("radical.gtod")

with open(sys.argv[2], "rb") as program:
    assert program.read(4) == b"\x7fELF", "radical-gtod is not the compiled program"
before = time.time()
clock = float(subprocess.run([sys.argv[2]], stdout=subprocess.PIPE, check=True, timeout=10).stdout)
assert before - 1 <= clock <= time.time() + 1, (before, clock)
