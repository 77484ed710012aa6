"""The tutorials are correct: every command is run as the page shows it, and prints the output that the page shows."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from sdk_tests.testbeds import manage
from tests.needs import need

TUTORIALS = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A file to write, or commands to run and the output that they have to print."""

    text: str
    file: str | None = None
    prints: str | None = None


def steps(page: str) -> list[Step]:
    sequence: list[Step] = []
    for language, name, text in FENCE.findall(page):
        if name:
            sequence.append(Step(text, file=name))
        elif language == "sh":
            sequence.append(Step(text))
        else:
            assert language == "text", f"a code block of a tutorial is a file, sh or text, not {language}"
            assert sequence, "an output without commands before it"
            assert sequence[-1].file is None, "an output without commands before it"
            sequence[-1] = Step(sequence[-1].text, prints=text)
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
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of the release's components, with its own home folder."""
    prefix = need("components")
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "RADICAL", "FLUX"))}
    return {**kept, "HOME": str(home), "VIRTUAL_ENV": prefix, "PATH": f"{prefix}/bin:{os.environ['PATH']}"}


@pytest.fixture
def slurm(tmp_path: Path, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    home = tmp_path / "testbeds"
    testbed = manage.up("slurm", home, nodes=2, cores=2, owner_pid=os.getpid())
    try:
        yield manage.environment(testbed, environment)
    finally:
        manage.down(home, testbed.id)


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
