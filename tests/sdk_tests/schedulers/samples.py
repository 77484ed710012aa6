"""Golden answers of schedulers: how a sample is stored, and how the parsing methods are called on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from sdk_tests.schedulers import CommandResult, SchedulerKind, cobalt, flux, lsf, pbs
from sdk_tests.schedulers.registry import kinds
from sdk_tests.schedulers.slurm import SlurmKind
from site_configs.schema import SchedulerSpec
from site_configs.values import Dialect

GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Sample:
    """A real answer, and the method of the kind that parses it."""

    method: str
    done: CommandResult

    @staticmethod
    def read(path: Path) -> Sample:
        data = json.loads(path.read_text(encoding="utf-8"))
        output = ("".join(data[name]) for name in ("stdout", "stderr"))
        return Sample(data["method"], CommandResult(tuple(data["argv"]), data["exit_code"], *output))

    def write(self, path: Path) -> None:
        done = self.done
        data = {
            "method": self.method,
            "argv": list(done.argv),
            "exit_code": done.exit_code,
            "stdout": done.stdout.splitlines(keepends=True),
            "stderr": done.stderr.splitlines(keepends=True),
        }
        path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def replaced_commands(run: Callable[..., CommandResult]) -> Iterator[None]:
    """Let ``allocation_of`` of every kind get its answers from ``run(argv, ...)`` instead of a command."""

    def method(_: SlurmKind, argv: Sequence[str]) -> CommandResult:
        return run(argv)

    with patch.object(SlurmKind, "_run", method):
        patches = [patch.object(module, "run_command", run) for module in (cobalt, flux, lsf, pbs)]
        for each in patches:
            each.start()
        try:
            yield
        finally:
            for each in patches:
                each.stop()


def new_kind(sample: str) -> SchedulerKind:
    """Return the kind that reads a sample; its commands are nowhere on PATH."""
    name = sample.partition("-")[0]
    dialect = Dialect.CLASSIC if sample.startswith("lsf-classic-") else None
    return kinds()[name](SchedulerSpec(kind=name, dialect=dialect), {"PATH": "/nowhere", "HOME": "/home/user"})
