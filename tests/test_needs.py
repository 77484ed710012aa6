"""What is absent skips on a laptop and fails where continuous integration requires it."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

TEST = """
import pytest

@pytest.mark.needs("flux")
def test_it():
    pass
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytester.makeconftest("from tests.conftest import pytest_configure, pytest_runtest_setup")
    pytester.makepyfile(TEST)
    pytester.makeini("[pytest]\nmarkers = needs(*names): x\naddopts = -p no:exaworks\n")
    monkeypatch.setattr("tests.needs.program", lambda *names: None)
    monkeypatch.delenv("EXAWORKS_REQUIRE", raising=False)
    return pytester


def test_an_absent_program_skips_and_names_the_package(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*install flux-core*"])


def test_an_absent_program_fails_where_it_is_required(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAWORKS_REQUIRE", "slurm, flux")
    result = suite.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*EXAWORKS_REQUIRE names flux, but flux is absent*"])


def test_a_requirement_that_nothing_knows_is_a_usage_error(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAWORKS_REQUIRE", "slrum")
    result = suite.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*EXAWORKS_REQUIRE names slrum*"])
