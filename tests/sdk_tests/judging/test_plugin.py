from __future__ import annotations

from pathlib import Path

import pytest

import sdk_tests.integration
from sdk_tests.judging.plugin import whole_suite

pytest_plugins = ("pytester",)
PACKAGE = ("--pyargs", "sdk_tests.integration")
FOLDER = str(Path(sdk_tests.integration.__file__).parent)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (PACKAGE, True),
        ((FOLDER,), True),
        ((FOLDER + "/",), True),
        (("--pyargs", "sdk_tests.integration.test_psij"), False),
        ((FOLDER + "/test_psij.py",), False),
        ((FOLDER + "/test_psij.py::test_hello",), False),
        ((".",), False),
        ((*PACKAGE, "."), False),
        ((*PACKAGE, "-k", "psij"), False),
        ((*PACKAGE, "-m", "slow"), False),
        ((*PACKAGE, "--deselect", "x"), False),
        ((*PACKAGE, "--ignore", "x"), False),
        ((*PACKAGE, "--ignore-glob", "x*"), False),
        ((*PACKAGE, "--lf"), False),
        ((*PACKAGE, "--sw"), False),
    ],
    ids=str,
)
def test_only_a_collection_of_the_whole_package_makes_a_complete_run(
    pytester: pytest.Pytester, arguments: tuple[str, ...], expected: bool
) -> None:
    config = pytester.parseconfig(*arguments)
    assert whole_suite(config) is expected
