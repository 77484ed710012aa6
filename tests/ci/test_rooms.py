"""The room's borders: what it imports, and that each of its commands says how it is used."""

from __future__ import annotations

import ast
from pathlib import Path

import click
import pytest

from ci.cli import ci

ROOM = Path(__file__).resolve().parents[2] / "ci"
ALLOWED = ("ci", "site_configs", "exaworks_sdk.paths")
OURS = ("ci", "site_configs", "exaworks_sdk", "sdk_tests", "dashboard_client", "collector", "containers", "tests")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_it_knows_the_site_files_and_the_places_and_nothing_else_of_ours(path: Path) -> None:
    ours = {name for name in imports(path) if name.split(".")[0] in OURS}
    strange = {name for name in ours if not any(name == a or name.startswith(f"{a}.") for a in ALLOWED)}
    assert not strange


def test_its_commands_load_nothing_but_click_until_they_are_used() -> None:
    for file in ("cli.py", "cli_steps.py"):
        top = ast.parse((ROOM / file).read_text()).body
        found = {node.module for node in top if isinstance(node, ast.ImportFrom)}
        found |= {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
        assert found <= {"__future__", "click", "json", "pathlib", "typing", "ci.cli_steps"}


@pytest.mark.parametrize("name", sorted(ci.commands))
def test_every_command_has_examples(name: str) -> None:
    command: click.Command = ci.commands[name]
    assert command.epilog is not None
    assert "Examples:" in command.epilog
    assert f"exaworks ci {name}" in command.epilog
