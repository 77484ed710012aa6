"""Cases of a user's own: the folder that ``exaworks validate --cases DIR`` runs instead of the packaged cases.

The control cases of all schedulers are always among the cases, because they show whether the site works at all.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from dashboard_client.runs import RunFolder
from sdk_tests.errors import PlanError
from sdk_tests.judging.harness import Harness
from sdk_tests.judging.item_state import CELL
from sdk_tests.plan.options import Options

RECORDED = "cases"
"""The file in the private folder of a run that names the folder of its cases."""

CONTROL = Path(__file__).resolve().parents[1] / "integration" / "test_control.py"


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot contain cases, before anything is started.

    Raises:
        PlanError: the folder does not exist, or contains no test module.
    """
    if not folder.is_dir():
        raise PlanError(f"--cases: there is no folder {folder}")
    if next(folder.rglob("test_*.py"), None) is None:
        raise PlanError(f"--cases: {folder} contains no module test_*.py; cases are declared in such modules")


def record(run: RunFolder, folder: Path) -> None:
    """Write the folder of the cases into the private folder of the run, for ``--resume``."""
    (run.private / RECORDED).write_text(f"{folder}\n", encoding="utf-8")


def resumed(options: Options) -> Options:
    """Take the folder of the cases from the run that is resumed, unless the options name one."""
    if options.resume is None or options.cases is not None:
        return options
    recorded = RunFolder(Path(options.resume)).private / RECORDED
    return replace(options, cases=Path(recorded.read_text(encoding="utf-8").strip())) if recorded.exists() else options


class OwnCases:
    """A pytest plugin that refuses a folder without a case, or with none that the selection includes."""

    def __init__(self, folder: Path, harness: Harness) -> None:
        self._folder, self._harness = folder, harness

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        declared = [
            item for item in items if self._is_own(item) and hasattr(getattr(item, "function", None), "exaworks_cases")
        ]
        yield
        if not declared:
            self._harness.unmatched.append(
                f"{self._folder} contains no case: none of its test functions has the decorator @case of sdk_tests"
            )
        elif not self._harness.unmatched and not any(self._is_own(item) and CELL in item.stash for item in items):
            self._harness.unmatched.append(
                f"none of the cases in {self._folder} is planned on this system with this selection; check --tier and "
                "the schedulers of the cases"
            )

    def _is_own(self, item: pytest.Item) -> bool:
        return item.path.is_relative_to(self._folder)
