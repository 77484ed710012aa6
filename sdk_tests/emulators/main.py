"""Start the daemon or a command of an emulator: ``python -I -S main.py DIALECT COMMAND [ARGUMENT]...``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from sdk_tests.emulators import client


def main(argv: list[str]) -> int:
    """Run the command ``argv[1]`` of the dialect ``argv[0]`` and return its exit code."""
    dialect, command, arguments = import_module(f"sdk_tests.emulators.{argv[0]}"), argv[1], argv[2:]
    if command == "daemon":
        from sdk_tests.emulators.engine import serve

        serve(arguments[0], dialect)
        return 0
    try:
        code: int = dialect.COMMANDS[command](arguments)
        return code
    except client.RefusedError as refused:
        print(refused if refused.plain else f"{command}: {refused}", file=sys.stderr)
        return refused.code if refused.code is not None else int(getattr(dialect, "REFUSED", 255))
    except FileNotFoundError as missing:
        print(f"{command}: {missing.filename}: {missing.strerror}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
