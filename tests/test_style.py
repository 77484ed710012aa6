"""The project's linters, type checks and import contracts, so that one command says everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

TOOLS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy", "--strict"],
    "import contracts": ["lint-imports"],
}
"""All four are pinned in requirements/dev.lock: where one is absent, the environment is the wrong one."""


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_finds_nothing(tool: str) -> None:
    program, *arguments = TOOLS[tool]
    path = Path(sys.executable).parent / program
    assert path.exists(), f"{path} is absent: run ./exaworks selftest, or install the dev extra"
    done = subprocess.run([path, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
