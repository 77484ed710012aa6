"""Decode a typed document, and check that a wrong one is refused: python conversion.py VERSION."""

import sys
from importlib.metadata import version
from typing import List

import msgspec

assert version("msgspec") == sys.argv[1], version("msgspec")


class Answer(msgspec.Struct):
    numbers: List[int]


assert msgspec.json.decode(b'{"numbers": [1, 2]}', type=Answer) == Answer([1, 2])
try:
    msgspec.json.decode(b'{"numbers": ["one"]}', type=Answer)
except msgspec.ValidationError:
    pass
else:
    raise AssertionError("text was accepted as a number")
