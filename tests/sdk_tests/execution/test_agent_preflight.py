"""The agent's preflight inside an allocation: a case starts after those of its components, or ends as blocked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sdk_tests.execution import agent
from sdk_tests.execution.node_conditions import conditions

FINE, BROKEN = [sys.executable, "-c", "pass"], [sys.executable, "-c", "raise ImportError('libzmq')"]
CONDITION = [sys.executable, "-c", """print('[{"message": "/tmp is full", "blocks": true}]')"""]
NOTE = [sys.executable, "-c", """print('[{"message": "slow", "blocks": false}]')"""]


def ends(folder: Path, preflights: dict[str, list[str]], *cases: list[str]) -> list[dict[str, Any]]:
    """Run the agent on cases, given by their components; return how each ended, with its ``err``."""
    requests = [
        {
            "key": f"{number}#1",
            "argv": [sys.executable, "-c", "print('ran')"],
            "environment": {"set": {}, "unset": []},
            "scratch": str(folder),
            "walltime": 30,
            "cores": 1,
            "mark": f"run/{number}",
            "one_machine": True,
            "components": components,
        }
        for number, components in enumerate(cases)
    ]
    path = folder / "requests.json"
    path.write_text(json.dumps({"slots": 2, "cases": requests, "inner": None, "preflights": preflights}))
    subprocess.run([sys.executable, "-I", agent.__file__, str(path)], check=True, timeout=60)
    found = [json.loads((folder / f"{number}.json").read_text()) for number in range(len(cases))]
    return [{**each, "err": (folder / f"{number}.err").read_text()} for number, each in enumerate(found)]


@pytest.mark.parametrize(
    ("preflights", "expected"),
    [
        ({}, ["exited", "exited", "exited"]),
        ({"a": FINE, "b": FINE, "": NOTE}, ["exited", "exited", "exited"]),
        ({"a": BROKEN, "b": FINE}, ["blocked", "exited", "blocked"]),
        ({"a": FINE, "b": BROKEN, "": NOTE}, ["exited", "blocked", "blocked"]),
        ({"a": FINE, "": CONDITION}, ["blocked", "blocked", "blocked"]),
        ({"a": ["/no/such/program"]}, ["blocked", "exited", "blocked"]),
    ],
)
def test_a_case_starts_unless_one_of_its_components_does_not(
    tmp_path: Path, preflights: dict[str, list[str]], expected: list[str]
) -> None:
    found = ends(tmp_path, preflights, ["a"], ["b"], ["b", "a"])
    assert [each["ending"] for each in found] == expected


def test_a_blocked_case_names_the_component_and_has_the_messages_of_its_preflight(tmp_path: Path) -> None:
    fine, blocked = ends(tmp_path, {"a": FINE, "b": BROKEN}, ["a"], ["a", "b"])
    assert fine["ending"] == "exited"
    assert (blocked["ending"], blocked["detail"]) == ("blocked", "b")
    assert "ImportError: libzmq" in blocked["err"]


def test_a_condition_of_the_node_has_no_component(tmp_path: Path) -> None:
    (blocked,) = ends(tmp_path, {"": CONDITION}, ["a"])
    assert (blocked["ending"], blocked["detail"], blocked["err"]) == ("blocked", "", "/tmp is full")


def test_a_path_that_is_not_utf_8_is_printable_in_the_message_of_a_condition() -> None:
    printed = json.dumps([{"message": "HOME (/caf\udce9): gone", "blocks": False}]).encode()
    assert conditions(printed) == ([], ["HOME (/caf\\udce9): gone"])
