"""Every rule of the catalogue: its example, its texts, its page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis import Text, find_cause, page
from sdk_tests.diagnosis.rule import GENERAL, SPECIFIC, Rule
from sdk_tests.diagnosis.rules import OWN, RULES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "diagnosis.md"
IDS = [rule.id for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_the_example_of_a_rule_matches_this_rule_and_no_other_wins(rule: Rule) -> None:
    owner = rule.owners[0] if rule.owners else ""
    for where in rule.where:
        match = find_cause([Text(where, "a text", f"first line\n{rule.example}\nlast line", owner)])
        assert match is not None, f"in {where.value}"
        assert match.rule.id == rule.id, f"in {where.value}"
        assert match.line == rule.example


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_a_rule_is_complete_and_its_texts_use_only_values_of_its_pattern(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.id)
    assert all((rule.title, rule.advice, rule.source, rule.example))
    assert isinstance(rule.cls, CauseClass)
    assert isinstance(rule.phase, Phase)
    assert GENERAL <= rule.rank <= SPECIFIC
    names = set(re.findall(r"\{(\w+)\}", rule.title + rule.advice))
    assert names <= set(rule.compiled.groupindex)
    assert not rule.compiled.search(""), "the pattern matches everything"


def test_ids_are_unique_and_none_is_that_of_a_cause_without_message_with_another_meaning() -> None:
    assert len(set(IDS)) == len(IDS)
    shared = set(IDS) & set(OWN)
    assert shared <= {"not-executable", "out-of-memory", "wrong-architecture", "file-system"}


def test_the_page_lists_every_rule_and_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{rule.id}`" in text for rule in RULES)
    generated, _, _ = page.page().partition(page.END)
    if generated not in text:
        pytest.fail(f"docs/diagnosis.md is out of date; run: {page.COMMAND}", pytrace=False)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("the library {x} is missing", "the library is missing"),
        (
            "reinstall the package that contains {x} in the deployment",
            "reinstall the package that contains it in the deployment",
        ),
        ("{x} belongs to another MPI", "it belongs to another MPI"),
        ("built for a newer system: {x} is missing", "built for a newer system: it is missing"),
        ("the job was ended from outside ({x})", "the job was ended from outside"),
        ("a file of a package is missing: {x}", "a file of a package is missing"),
        ("another queue in the site file: {x}", "another queue in the site file"),
    ],
)
def test_a_text_reads_well_without_a_value_that_the_message_lacks(text: str, filled: str) -> None:
    assert RULES[0].filled(text, {}) == filled
    assert RULES[0].filled(text, {"x": "libz"}) == text.replace("{x}", "libz")
