"""The page of the policies has E4S's own numbers and names, and a score of every component for each of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "policies.md").read_text()
E4S = {
    "P1": "Spack-based Build and Installation",
    "P2": "Minimal Validation Testing",
    "P3": "Sustainability",
    "P4": "Documentation",
    "P5": "Product Metadata",
    "P6": "Public Repository",
    "P7": "Imported Software",
    "P8": "Error Handling",
    "P9": "Test Suite",
}
"""Version 1 of https://e4s-project.github.io/policies/."""


def rows(number: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith(f"| {number} |")]


@pytest.mark.parametrize("number", E4S)
def test_a_policy_of_e4s_has_its_number_and_name(number: str) -> None:
    policy, _ = rows(number)
    assert policy[1] == E4S[number]


@pytest.mark.parametrize("number", [*E4S, *(f"X{each}" for each in range(1, 7))])
def test_every_component_has_a_score(number: str) -> None:
    _, scores = rows(number)
    assert len(scores) == 8
    assert [score for score in scores[1:] if not re.match("[✔◐✗?]", score)] == []


def test_there_is_no_other_policy() -> None:
    assert set(re.findall(r"^\| ([PX]\d+) \|", PAGE, re.MULTILINE)) == {*E4S, *(f"X{each}" for each in range(1, 7))}
