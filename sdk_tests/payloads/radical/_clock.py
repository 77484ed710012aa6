"""A task that writes when it started and when it ended, in seconds since the epoch, to the file that it is given."""

import sys
import time

started = time.time()
with open(sys.argv[1], "w", encoding="ascii") as file:
    file.write(f"{started} {time.time()}")
