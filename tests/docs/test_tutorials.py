"""The tutorials are correct: every command is run as the page shows it, and prints the output that the page shows.

The notebooks are made from the same pages. Those that need no more than a minute are run as well, by their own kernel.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from exaworks_sdk.errors import TutorialsError
from exaworks_sdk.tutorials import Block, Output, blocks, notebook
from exaworks_sdk.tutorials.workspace import environment as jupyter_environment
from sdk_tests.testbeds import manage
from tests.needs import need
from tests.running import kill_below

TUTORIALS = Path(__file__).resolve().parents[2] / "docs" / "tutorials"


@dataclass(frozen=True)
class Step:
    """A file to write, or commands to run and the output that they have to print."""

    text: str
    file: str | None = None
    prints: str | None = None


def steps(page: str) -> list[Step]:
    sequence: list[Step] = []
    for part in blocks(page):
        if isinstance(part, Block):
            sequence.append(Step(part.text, file=part.file))
        elif isinstance(part, Output):
            sequence[-1] = Step(sequence[-1].text, prints=part.text)
    return sequence


def follow(page: str, folder: Path, env: dict[str, str], seconds: float, section: str | None = None) -> None:
    """Run the steps of a page in ``folder``; with ``section``, only its steps and the files of earlier sections."""
    text = (TUTORIALS / page).read_text()
    wanted = steps(text)
    if section is not None:
        before, mark, within = text.partition(f"\n## {section}\n")
        assert mark, f"{page} has no section {section}"
        wanted = [step for step in steps(before) if step.file] + steps(within.partition("\n## ")[0])
    for step in wanted:
        if step.file:
            (folder / step.file).write_text(step.text)
            continue
        command = ["bash", "-euo", "pipefail", "-c", step.text]
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert step.prints is not None, f"the page does not show the output of: {step.text}"
        assert same_output(done.stdout, step.prints), done.stdout + done.stderr


def same_output(printed: str, shown: str) -> bool:
    """Return whether the lines are the same; ``…`` on the page matches any text."""
    lines, patterns = ([line.rstrip() for line in text.strip().splitlines()] for text in (printed, shown))
    patterns = [re.sub(r"[\[*?]", lambda sign: f"[{sign[0]}]", line).replace("…", "*") for line in patterns]
    return len(lines) == len(patterns) and all(map(fnmatchcase, lines, patterns))


def test_a_difference_from_the_page_is_detected() -> None:
    assert same_output("285 on n1\n[(1, 2)]\n", "285 on …\n[(1, 2)]\n")
    assert not same_output("286 on n1\n", "285 on …\n")
    assert not same_output("285 on n1\nand more\n", "285 on …\n")
    assert not same_output("1\n", "[(1, 2)]\n")


def test_every_tutorial_is_in_the_table_and_has_a_test() -> None:
    listed = set(re.findall(r"^\| \[.*?\]\((\S+\.md)\)", (TUTORIALS / "README.md").read_text(), re.MULTILINE))
    assert listed == {page.name for page in TUTORIALS.glob("*.md")} - {"README.md"}
    followed = re.findall(
        r'^    follow\("(\S+\.md)".*?(?:section="(.+)")?\)$', Path(__file__).read_text(), re.MULTILINE
    )
    assert listed == {page for page, _ in followed}
    for page in {page for page, section in followed if section}:
        headings = re.findall(r"^## (.+)$", (TUTORIALS / page).read_text(), re.MULTILINE)
        assert headings == [section for name, section in followed if name == page], f"a section of {page} has no test"


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of the release's components, with its own home folder; no process stays in that folder."""
    prefix = need("components")
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "RADICAL", "FLUX"))}
    yield {**kept, "HOME": str(home), "VIRTUAL_ENV": prefix, "PATH": f"{prefix}/bin:{os.environ['PATH']}"}
    kill_below(home)


@pytest.fixture
def slurm(tmp_path: Path, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    home = tmp_path / "testbeds"
    testbed = manage.up("slurm", home, nodes=2, cores=2, owner_pid=os.getpid())
    try:
        yield manage.environment(testbed, environment)
    finally:
        manage.down(home, testbed.id)


def run_notebook(
    page: str, folder: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch, seconds: int = 120
) -> None:
    """Run the notebook of a page as JupyterLab does, and compare the output of each cell with the page."""
    document = nbformat.from_dict(notebook(page, (TUTORIALS / f"{page}.md").read_text()))
    shown = [text for cell in document.cells if (text := stdout_of(cell))]
    for name, value in jupyter_environment(folder, Path(env["VIRTUAL_ENV"]), env).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # else IPython would take packages of the deployment
    resources = {"metadata": {"path": folder}}
    NotebookClient(document, timeout=seconds, kernel_name="python3", resources=resources).execute()
    cells = [cell for cell in document.cells if not cell.source.startswith("%%writefile")]
    printed = [text for cell in cells if (text := stdout_of(cell))]
    assert len(printed) == len(shown) > 0
    for text, pattern in zip(printed, shown, strict=True):
        assert same_output(text, pattern), text


def stdout_of(cell: Any) -> str:
    outputs = cell.get("outputs", [])
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


@pytest.mark.needs("slurm", "munge")
@pytest.mark.parametrize("page", ["psij", "parsl"])
def test_the_notebook_prints_what_the_page_shows(
    page: str, tmp_path: Path, slurm: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_notebook(page, tmp_path, slurm, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("page", ["radical"])
def test_the_notebook_of_a_pilot_prints_what_the_page_shows(
    page: str, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_notebook(page, tmp_path, environment, monkeypatch)


@pytest.mark.needs("flux")
def test_the_notebook_of_flux_prints_what_the_page_shows(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_notebook("flux", tmp_path, environment, monkeypatch)


@pytest.mark.needs("swift-t")
def test_the_notebook_of_swift_t_prints_what_the_page_shows(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_notebook("swift-t", tmp_path, environment, monkeypatch)


@pytest.mark.long
@pytest.mark.needs("flux")
def test_the_notebook_of_an_ensemble_prints_what_the_page_shows(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_notebook("ensemble", tmp_path, environment, monkeypatch, seconds=400)


@pytest.mark.parametrize("page", sorted(TUTORIALS.glob("*.md")), ids=lambda page: page.stem)
def test_a_notebook_is_valid_and_has_the_files_and_the_commands_of_its_page(page: Path) -> None:
    text = page.read_text()
    document = nbformat.from_dict(notebook(page.stem, text))
    nbformat.validate(document)
    assert [cell.source for cell in document.cells if cell.cell_type == "code"] == [
        f"{f'%%writefile {step.file}' if step.file else '%%bash -euo pipefail'}\n{step.text}".rstrip("\n")
        for step in steps(text)
    ]
    links = re.findall(r"\]\((?!https?:)([^)#]+)", "".join(cell.source for cell in document.cells))
    assert {link for link in links if not (TUTORIALS / link).with_suffix(".md").exists()} == set()


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("```text\nx\n```\n", "an output without commands before it"),
        ("```python a.py\nx\n```\n\n```text\nx\n```\n", "an output without commands before it"),
        ("```python\nx\n```\n", "a code block of a tutorial is a file, sh or text, not python"),
    ],
)
def test_a_block_that_is_no_step_is_an_error(page: str, message: str) -> None:
    with pytest.raises(TutorialsError, match=message):
        list(blocks(page))


@pytest.mark.needs("slurm", "munge")
def test_the_tutorial_of_psij(tmp_path: Path, slurm: dict[str, str]) -> None:
    follow("psij.md", tmp_path, slurm, 120)


@pytest.mark.needs("slurm", "munge")
def test_the_tutorial_of_parsl(tmp_path: Path, slurm: dict[str, str]) -> None:
    follow("parsl.md", tmp_path, slurm, 120)


@pytest.mark.needs("flux")
def test_the_tutorial_of_flux(tmp_path: Path) -> None:
    follow("flux.md", tmp_path, dict(os.environ), 120)


@pytest.mark.needs("swift-t")
def test_the_tutorial_of_swift_t(tmp_path: Path) -> None:
    follow("swift-t.md", tmp_path, dict(os.environ), 120)


@pytest.mark.long
def test_the_tutorial_of_radical(tmp_path: Path, environment: dict[str, str]) -> None:
    follow("radical.md", tmp_path, environment, 400)


@pytest.mark.long
def test_the_tutorial_of_an_ensemble(tmp_path: Path, environment: dict[str, str]) -> None:
    follow("ensemble.md", tmp_path, environment, 400, section="On this machine")


@pytest.mark.long
@pytest.mark.needs("flux")
def test_the_tutorial_of_an_ensemble_on_flux(tmp_path: Path, environment: dict[str, str]) -> None:
    follow("ensemble.md", tmp_path, environment, 400, section="On Flux")
