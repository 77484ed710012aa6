"""Manual pages and completion follow from the commands, are correct, and are part of a wheel."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exaworks_sdk import __version__
from exaworks_sdk.cli import CHECKOUT_ONLY, main
from exaworks_sdk.manual import SHELLS, CommandPage, completion_files, installed_group, manual_pages, pages_of
from exaworks_sdk.manual.man import _text
from tests.exaworks_sdk.conftest import ROOT
from tests.needs import need

COMMANDS = pages_of(main)
PAGES = manual_pages(COMMANDS, __version__)
LINES_OF_TEXT = st.lists(
    st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1), min_size=1, max_size=4
)


def formatted(page: str) -> tuple[str, str]:
    """Return a page as ``man`` shows it on a wide terminal, and the warnings about it."""
    command = [need("groff"), "-t", "-man", "-ww", "-Tutf8", "-Kutf8", "-rLL=400n", "-P-cbou"]
    done = subprocess.run(command, input=page, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout, done.stderr


def words(text: str) -> str:
    """Return a text without backticks and with one space between words, as man fills lines."""
    return " ".join(text.replace("`", "").replace("\u2010", "-").split())


@pytest.mark.needs("groff")
@pytest.mark.parametrize("command", COMMANDS.subcommands, ids=lambda command: command.path[-1])
def test_a_page_has_every_subcommand_option_and_example_and_no_warning(command: CommandPage) -> None:
    shown, warnings = formatted(PAGES[f"{'-'.join(command.path)}.1"])
    assert warnings == ""
    text = words(shown)
    for each in command.walk():
        assert words(each.usage) in text
        for paragraph in (*each.description, *each.epilog):
            assert all(words(line) in text for line in paragraph.text.splitlines()[1:])
            assert paragraph.verbatim or words(paragraph.text) in text
        for option in each.options:
            assert words(f"{option.syntax} {option.help}") in text


@pytest.mark.needs("groff")
def test_the_first_page_lists_every_command_and_the_variables_for_everybody() -> None:
    shown, warnings = formatted(PAGES["exaworks.1"])
    assert warnings == ""
    listed = re.findall(r"^ +exaworks-([\w-]+)\(1\)$", shown, re.MULTILINE)
    assert sorted(set(listed)) == sorted(each.path[-1] for each in COMMANDS.subcommands)
    assert "EXAWORKS_HOME" in shown


@pytest.mark.needs("groff")
@settings(max_examples=20)
@given(LINES_OF_TEXT)
def test_any_text_is_shown_as_it_is(lines: list[str]) -> None:
    text = "\n".join(lines)
    page = f".TH X 1\n.SH NAME\nx \\- y\n.SH TEXT\n.nf\nbegin\n{_text(text)}\nend\n.fi\n"
    shown, warnings = formatted(page)
    assert warnings == ""
    assert words(text) in words(shown)


def test_a_hidden_command_has_no_page() -> None:
    group = click.Group("exaworks", {"seen": click.Command("seen"), "not": click.Command("not", hidden=True)})
    assert [each.path[-1] for each in pages_of(group).subcommands] == ["seen"]


def test_the_pages_of_an_installation_leave_out_the_commands_of_a_checkout() -> None:
    group = installed_group(main, {"validate": "sdk_tests.cli.validate:validate"})
    assert set(manual_pages(pages_of(group), "1")) == {"exaworks.1", "exaworks-validate.1"}
    assert "exaworks-ci.1" in PAGES


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the files that git does not ignore, built as images and Spack build it."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in os.fsdecode(listed).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / "tree" / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(folder / "tree")], check=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def test_a_wheel_has_a_page_of_each_command_completion_and_the_tutorials(wheel: Path) -> None:
    prefix = f"exaworks_sdk-{__version__}.data/data/"
    with zipfile.ZipFile(wheel) as archive:
        names = {name.removeprefix(prefix) for name in archive.namelist()}
        scripts = {path: archive.read(prefix + path).decode() for path in SHELLS.values()}
    wanted = set(PAGES) - {f"exaworks-{name}.1" for name in CHECKOUT_ONLY}
    assert {Path(name).name for name in names if name.startswith("share/man/man1/")} == wanted
    assert scripts == completion_files()
    assert {f"exaworks_sdk/tutorials/pages/{page.name}" for page in ROOT.glob("docs/tutorials/*.md")} <= names


def complete(shell: str, typed: str) -> str:
    """Return what the program answers to a shell that completes the last word."""
    variables = {"_EXAWORKS_COMPLETE": f"{shell}_complete", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    if shell == "fish":
        variables["COMP_CWORD"] = typed.rpartition(" ")[2]
    command = [sys.executable, "-I", "-m", "exaworks_sdk"]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60)
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "completed"),
    [("exaworks val", "validate"), ("exaworks results sh", "show"), ("exaworks validate --ti", "--tier"),
     ("exaworks validate --tier sm", "smoke")],
)  # fmt: skip
def test_the_program_completes_commands_options_and_values(shell: str, typed: str, completed: str) -> None:
    assert completed in re.split(r"[\s,]+", complete(shell, typed))


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    script = tmp_path / "exaworks"
    script.write_text(completion_files()[SHELLS["bash"]])
    program = (
        f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; . {script}; "
        "COMP_WORDS=(exaworks rel); COMP_CWORD=1; _exaworks_completion exaworks; "
        "complete -p exaworks; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "release"


def completed_by(shell: str, program: str) -> list[str]:
    """Run a program in a shell without a start file, with ``exaworks`` on PATH, and return the lines that it prints."""
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    options = ["-f"] if shell == "zsh" else ["--no-config"]
    command = [need(shell), *options, "-c", program]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_fish_completes_with_the_script(tmp_path: Path) -> None:
    script = tmp_path / "exaworks.fish"
    script.write_text(completion_files()[SHELLS["fish"]])
    (line,) = completed_by("fish", f"source {script}; complete -C 'exaworks tut'")
    assert line.split()[0] == "tutorials"


def test_zsh_finds_the_script_for_the_command(tmp_path: Path) -> None:
    script = tmp_path / Path(SHELLS["zsh"]).name
    script.write_text(completion_files()[SHELLS["zsh"]])
    program = f"fpath+=({tmp_path}); autoload -Uz compinit; compinit -u -D; print ${{_comps[exaworks]}}; . {script}; "
    assert completed_by("zsh", program + "whence -w _exaworks_completion") == [
        "_exaworks",
        "_exaworks_completion: function",
    ]
