"""What is absent skips on a laptop and fails where continuous integration requires it."""

from __future__ import annotations

import ast
from pathlib import Path

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


ABSENT = {
    "curl",
    "file",
    "free",
    "ip",
    "killall",
    "less",
    "lsof",
    "make",
    "patch",
    "pgrep",
    "pkill",
    "ps",
    "wget",
    "xz",
}
"""Programs that a small Debian lacks, and that no need names."""


def commands(source: str) -> set[str]:
    """Return the first words of lists and of positional arguments with which something is called."""
    words = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            first = node.args[0] if node.args else None
            first = first.elts[0] if isinstance(first, ast.List | ast.Tuple) and first.elts else first
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if isinstance(first, ast.Constant) and name in ("run", "Popen", "call", "check_call", "check_output"):
                words.add(str(first.value))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.List) and node.value.elts:
            first = node.value.elts[0]
            words |= {str(first.value)} if isinstance(first, ast.Constant) else set()
    return words


def test_the_commands_of_a_test_are_recognised() -> None:
    assert commands('subprocess.run(["pgrep", "-f", x])\nargv = ["ps", "-e"]\nPopen(("xz", y))') == {
        "pgrep",
        "ps",
        "xz",
    }


def test_no_test_runs_a_program_that_a_small_system_lacks() -> None:
    folder = Path(__file__).parent
    found = {str(path.relative_to(folder)): commands(path.read_text()) & ABSENT for path in folder.rglob("*.py")}
    assert {name: words for name, words in found.items() if words} == {}, "use tests/running.py, or name a need"
