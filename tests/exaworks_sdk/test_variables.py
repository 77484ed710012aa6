"""Every environment variable that the code names is in the list, with what it sets, and the list has no other."""

from __future__ import annotations

import re
from pathlib import Path

from exaworks_sdk.variables import VARIABLES
from tests.exaworks_sdk.conftest import ROOT

FOLDERS = (
    "exaworks_sdk",
    "sdk_tests",
    "site_configs",
    "dashboard_client",
    "collector",
    "ci",
    "containers",
    "docs_site",
)
NAME = re.compile(r"(?<![A-Z_])EXAWORKS_[A-Z]+(?:_[A-Z]+)*\b(?!_)")
EXAMPLES = {"EXAWORKS_TEST_VARIABLE"}
"""Variables of a payload's job, which nobody sets."""


def named(paths: list[Path]) -> set[str]:
    return {name for path in paths for name in NAME.findall(path.read_text(encoding="utf-8"))}


def code() -> list[Path]:
    kinds = (".py", ".sh", ".j2", "")
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in kinds]
    own = ROOT / "exaworks_sdk" / "variables.py"
    return [ROOT / "exaworks", *(path for path in files if path.is_file() and path != own)]


def test_the_list_has_every_variable_that_the_code_names() -> None:
    assert named(code()) - EXAMPLES - {each.name for each in VARIABLES} == set()


def test_the_code_or_a_test_names_every_variable_of_the_list() -> None:
    everywhere = named([*code(), *(ROOT / "tests").rglob("*.py"), ROOT / ".ci" / "run"])
    assert {each.name for each in VARIABLES} - everywhere == set()


def test_a_variable_is_listed_once_and_says_what_it_sets() -> None:
    names = [each.name for each in VARIABLES]
    assert sorted(set(names)) == sorted(names)
    assert all(each.sets and not each.sets.endswith(".") for each in VARIABLES)


def test_names_are_found_in_code_and_not_in_longer_names() -> None:
    assert NAME.findall('environ["EXAWORKS_HOME"], $EXAWORKS_SDK_URL, _EXAWORKS_COMPLETE, EXAWORKS_TEST_IMAGE_') == [
        "EXAWORKS_HOME",
        "EXAWORKS_SDK_URL",
    ]
