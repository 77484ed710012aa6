"""The logs of a case that passed hold nothing that would be taken for the cause if it had failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk_tests.diagnosis import find_cause
from sdk_tests.diagnosis.harvest import Keep, harvest, reader_of
from sdk_tests.model.case import PAYLOADS
from tests.needs import need
from tests.sabotage.breakage import Breakage
from tests.sabotage.run import run


@pytest.mark.parametrize(
    ("case", "component", "folder"),
    [
        pytest.param("parsl/short", "parsl", "parsl"),
        pytest.param("psij/hello", "psij", "psij"),
        pytest.param("radical.pilot/pilot", "radical.pilot", "radical", marks=pytest.mark.long),
        pytest.param("radical.entk/ensemble", "radical.entk", "radical", marks=pytest.mark.long),
    ],
)
def test_no_rule_takes_a_line_of_a_healthy_log_for_a_cause(
    case: str, component: str, folder: str, tmp_path: Path
) -> None:
    healthy = Breakage("healthy", "node", "nothing is broken", "true", case, "pass")
    result = run(healthy, need("components", "namespaces"), tmp_path)
    assert result.shown.outcome == "pass", result
    (work,) = (tmp_path / "home" / "runs").glob("*/private/work")
    scratches = [path for path in work.iterdir() if "control" not in path.name]
    keep = Keep(tmp_path, work, None, tmp_path / "copies")
    for scratch in scratches:
        logs = harvest([(component, reader_of(PAYLOADS / folder / "_logs.py"))], scratch, keep)
        match = find_cause(logs)
        assert match is None, f"{match.rule.id}: {match.text.name}: {match.line}"
    assert scratches
