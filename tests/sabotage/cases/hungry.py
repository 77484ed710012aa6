"""Uses a gigabyte of memory, in a process of its own."""

import subprocess
import sys

subprocess.run([sys.executable, "-c", "x = bytearray(1 << 30)\nfor i in range(0, 1 << 30, 4096): x[i] = 1"], check=True)
