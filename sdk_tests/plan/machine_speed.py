"""How much slower this machine is than the one on which the time limits of cases were chosen.

A short calibration measures it with the load that the machine has at the start of a run. The limits of the cases
whose work is done on this machine are multiplied by the result. Limits of cases on the nodes of a system stay as
declared: this machine's speed is not theirs.
"""

from __future__ import annotations

import hashlib
import time
from statistics import median

REFERENCE = 0.005
"""Seconds of one round of the calibration on the idle machine (3 GHz x86_64) on which the limits were chosen."""
ROUNDS = 9
NOISE = 1.5
"""A machine that is slower by a smaller factor keeps the declared limits."""
LONGEST = 4.0
"""No limit is multiplied by more than this."""


def slowdown() -> float:
    """Return the factor, 1.0 to ``LONGEST``, by which this machine is slower than the reference."""
    factor = median(_round() for _ in range(ROUNDS)) / REFERENCE
    return 1.0 if factor < NOISE else round(min(factor, LONGEST), 1)


def _round() -> float:
    """Return the seconds that a fixed amount of interpreted and of compiled work takes."""
    start = time.perf_counter()
    total = 0
    for number in range(60_000):
        total += number * number % 7
    hashlib.pbkdf2_hmac("sha256", b"calibration", b"salt", 10_000)
    return time.perf_counter() - start
