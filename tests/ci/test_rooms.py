"""The package ``ci`` imports only what it may, and each of its commands has examples."""

from __future__ import annotations

import ast
from pathlib import Path

import click
import pytest

from ci.cli import ci

PACKAGE = Path(__file__).resolve().parents[2] / "ci"
ALLOWED = ("ci", "site_configs", "exaworks_sdk.paths")
PROJECT = ("ci", "site_configs", "exaworks_sdk", "sdk_tests", "dashboard_client", "collector", "containers", "tests")


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.name)
def test_it_imports_only_the_site_files_and_the_paths_of_the_project(path: Path) -> None:
    imported = {name for name in imports(path) if name.split(".")[0] in PROJECT}
    forbidden = {name for name in imported if not any(name == a or name.startswith(f"{a}.") for a in ALLOWED)}
    assert not forbidden


def test_its_commands_import_only_click_until_they_are_used() -> None:
    for file in ("cli.py", "cli_steps.py"):
        top = ast.parse((PACKAGE / file).read_text()).body
        names = {node.module for node in top if isinstance(node, ast.ImportFrom)}
        names |= {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
        assert names <= {"__future__", "click", "json", "pathlib", "typing", "ci.cli_steps"}


@pytest.mark.parametrize("name", sorted(ci.commands))
def test_every_command_has_examples(name: str) -> None:
    command: click.Command = ci.commands[name]
    assert command.epilog is not None
    assert "Examples:" in command.epilog
    assert f"exaworks ci {name}" in command.epilog
