"""The root command: packages add commands by entry points, load on demand, and a broken one affects no other."""

from __future__ import annotations

import shlex
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from exaworks_sdk import __version__, cli
from exaworks_sdk.paths import Places
from exaworks_sdk.selftest import selftest
from tests.exaworks_sdk.conftest import ROOT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXAWORKS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def points(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    entries = [EntryPoint(name, value, "exaworks.commands") for name, value in values.items()]
    monkeypatch.setattr(cli, "entry_points", lambda group: entries)


def test_a_broken_command_is_reported_and_the_others_still_work(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points(monkeypatch, broken="no.such.module:command", release="exaworks_sdk.releasing.cli:release")
    run = CliRunner().invoke
    listed = run(cli.main, ["--help"])
    assert listed.exit_code == 0
    assert "(cannot be loaded)" in listed.output
    assert run(cli.main, ["release", "list"]).exit_code == 0
    refused = run(cli.main, ["broken", "--some", "thing"])
    assert refused.exit_code == 2
    assert "broken cannot be loaded from no.such.module:command: No module named 'no'" in refused.output


def test_the_version_is_that_of_the_package(home: Path) -> None:
    assert CliRunner().invoke(cli.main, ["--version"]).output == f"exaworks, version {__version__}\n"


def test_a_home_that_cannot_be_created_gives_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EXAWORKS_HOME", str(tmp_path / "file" / "home"))
    done = CliRunner().invoke(cli.main, ["release", "list"])
    assert done.exit_code == 2
    assert "Set EXAWORKS_HOME to a writable folder." in done.output


HEAVY = ("jinja2", "litestar", "sqlalchemy", "git", "pytest", "requests", "rich", "ruamel", "tabulate", "uvicorn")


def test_the_help_of_the_root_imports_no_heavy_library(home: Path) -> None:
    program = (
        "import sys\nfrom exaworks_sdk.cli import main\nmain(['--help'], standalone_mode=False)\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.split() == []
    assert "validate" in done.stdout


def test_selftest_is_refused_without_a_checkout(tmp_path: Path) -> None:
    done = CliRunner().invoke(selftest, ["-x"], obj=Places(home=tmp_path, checkout=None))
    assert done.exit_code == 2
    assert "selftest runs from a checkout only" in done.output


def test_selftest_runs_pytest_with_its_arguments_and_returns_its_exit_code(home: Path, tmp_path: Path) -> None:
    empty = tmp_path / "test_nothing.py"
    empty.touch()
    done = subprocess.run(
        [sys.executable, "-m", "exaworks_sdk", "selftest", str(empty), "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "no tests ran in" in done.stdout.splitlines()[-1]


def commands(group: click.Group, name: str) -> list[tuple[str, click.Command]]:
    context = click.Context(group)
    leaves: list[tuple[str, click.Command]] = []
    for child in group.list_commands(context):
        command = group.get_command(context, child)
        assert command is not None
        path = f"{name} {child}"
        leaves += commands(command, path) if isinstance(command, click.Group) else [(path, command)]
    return leaves


def test_the_help_of_every_command_ends_in_examples() -> None:
    known = commands(cli.main, "exaworks")
    assert {name for name, _ in known} >= {"exaworks selftest", "exaworks release show", "exaworks validate"}
    assert [name for name, command in known if "Examples:" not in (command.epilog or "")] == []


@pytest.mark.parametrize("arguments", ["--help", "--version", "results list", "release list", "validate --help"])
@pytest.mark.parametrize(
    ("redirect", "code"), [("> /dev/full", 2), ("> /dev/full 2> /dev/full", 2), (">&-", 0), (">&- 2>&-", 0)]
)
def test_output_that_cannot_be_written_is_a_sentence_and_a_documented_exit_code(
    home: Path, arguments: str, redirect: str, code: int
) -> None:
    command = f"exec {shlex.quote(sys.executable)} -m exaworks_sdk {arguments} {redirect}"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == code
    expected = "Error: the output or a file could not be written or read: No space left on device\n"
    assert done.stderr == (expected if redirect == "> /dev/full" else "")
