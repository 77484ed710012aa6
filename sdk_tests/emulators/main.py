"""Starts an emulator's daemon or one of its commands: ``python -I -S main.py DIALECT COMMAND [ARGUMENT]...``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from sdk_tests.emulators import client


def main(words: list[str]) -> int:
    dialect = import_module(f"sdk_tests.emulators.{words[0]}")
    if words[1] == "daemon":
        from sdk_tests.emulators.engine import serve

        serve(words[2], dialect)
        return 0
    try:
        code: int = dialect.COMMANDS[words[1]](words[2:])
        return code
    except client.RefusedError as refused:
        print(f"{words[1]}: {refused}", file=sys.stderr)
        return int(getattr(dialect, "REFUSED", 255))
    except FileNotFoundError as missing:
        print(f"{words[1]}: {missing.filename}: {missing.strerror}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
