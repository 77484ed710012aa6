"""The documentation site: complete, without a link that leads nowhere, and without anything from other hosts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

from docs_site import reference, versions
from docs_site.build import build
from docs_site.checkout_pages import MOVED, site_links
from docs_site.errors import DocsError
from docs_site.markdown import plain_bars, titled_blocks
from docs_site.reference.commands import anchor, root
from docs_site.reference.schemas import limits_of, type_of
from docs_site.text import code, table
from docs_site.versions import LATEST, release_tags
from exaworks_sdk.cli import main
from exaworks_sdk.manual import CommandPage, pages_of
from exaworks_sdk.variables import VARIABLES
from sdk_tests.diagnosis.rules import OWN, RULES
from sdk_tests.report import EXIT_CODES
from site_configs.schema import System

ROOT = Path(__file__).resolve().parents[2]
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}
"""Elements that make a browser load something, and the attribute that names it."""


class Page(HTMLParser):
    """The anchors of a page, its links, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.anchors, self.links, self.loads, self.text = path, {""}, [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given and tag != "meta"}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADED and LOADED[tag] in given:
            self.loads.append(given[LOADED[tag]])

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted((site / LATEST).rglob("*.html"))}


def targets(page: Page, links: list[str]) -> Iterator[tuple[str, Path, str]]:
    """Return the links within the site, each with its file and its anchor."""
    for link in links:
        parts = urlsplit(link)
        if not parts.scheme and not parts.netloc and page.path.name != "404.html":
            file = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            yield link, file, unquote(parts.fragment)


def test_every_link_of_the_site_has_its_page_and_its_anchor(pages: dict[Path, Page]) -> None:
    assert len(pages) > 50
    wrong = []
    for page in pages.values():
        for link, file, fragment in targets(page, page.links + page.loads):
            if file.is_dir():
                continue  # the theme's link to the home page of a version
            if not file.is_file() or (file in pages and fragment not in pages[file].anchors):
                wrong.append(f"{page.path.name}: {link}")
    assert wrong == []


def test_no_page_loads_anything_from_another_host(pages: dict[Path, Page], site: Path) -> None:
    loaded = {load for page in pages.values() for load in page.loads}
    assert loaded
    assert {load for load in loaded if urlsplit(load).netloc} == set()
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )['\"]?(?:https?:)?//", style.read_text()) == [], style


def copy_with(folder: Path, changes: dict[str, str]) -> Path:
    """Return a checkout that differs from this one in pages of ``docs/``: links, and files of its own."""
    for path in ROOT.iterdir():
        if path.name not in ("docs", ".exaworks", "mkdocs.yml"):
            (folder / path.name).symlink_to(path)
    shutil.copyfile(ROOT / "mkdocs.yml", folder / "mkdocs.yml")  # MkDocs would follow a link to the real docs/
    (folder / "docs").mkdir()
    for path in (ROOT / "docs").iterdir():
        (folder / "docs" / path.name).symlink_to(path)
    for name, text in changes.items():
        page = folder / "docs" / name
        page.unlink(missing_ok=True)
        page.write_text(text)
    return folder


def test_a_missing_page_a_missing_anchor_and_a_page_outside_the_menu_are_errors(tmp_path: Path) -> None:
    changes = {
        "glossary.md": "# Glossary\n\n[page](nowhere.md), [anchor](sites.md#nowhere), [own](#nowhere-here)\n",
        "orphan.md": "# A page that nobody finds\n",
    }
    with pytest.raises(DocsError) as raised:
        build(copy_with(tmp_path, changes), tmp_path / "site")
    for expected in ("nowhere.md", "sites.md#nowhere", "#nowhere-here", "orphan.md"):
        assert expected in raised.value.message


def leaves(command: CommandPage) -> list[CommandPage]:
    return [each for each in command.walk() if each is not command]


COMMANDS = leaves(pages_of(main))


def test_the_reference_has_every_command_of_the_program(pages: dict[Path, Page], site: Path) -> None:
    assert [each.path for each in leaves(root())] == [each.path for each in COMMANDS]
    index = pages[site / LATEST / "reference/commands/index.html"]
    for command in COMMANDS:
        page = pages[site / LATEST / f"reference/commands/{command.path[1]}.html"]
        assert len(command.path) == 2 or anchor(command) in page.anchors
        target = f"{command.path[1]}.html" + (f"#{anchor(command)}" if len(command.path) > 2 else "")
        assert target in index.links
        assert all(option.syntax in "".join(page.text) for option in command.options), command.name


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_is_described_with_its_options_and_examples(command: CommandPage) -> None:
    assert command.summary
    assert command.subcommands or command.description
    undocumented = [option.syntax for option in command.options if not option.help]
    assert undocumented == []
    if not command.subcommands:
        examples = "\n".join(block.text for block in command.epilog if block.text.startswith("Examples:"))
        assert f"exaworks {' '.join(command.path[1:])}" in examples


def test_a_command_without_help_would_be_found() -> None:
    page = pages_of(click.Command("bare", params=[click.Option(["--x"])]), "bare")
    assert (page.summary, page.description) == ("", ())
    assert [option.syntax for option in page.options if not option.help] == ["--x TEXT"]


def test_every_command_that_a_page_names_exists() -> None:
    groups = {each.path: {sub.path[-1] for sub in each.subcommands} for each in (root(), *COMMANDS)}
    wrong = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs_site/**/*.py")]:
        for words in re.findall(r"(?:`|^ {4}|\./)exaworks((?: [a-z][a-z0-9-]*)+)", page.read_text(), re.MULTILINE):
            path: tuple[str, ...] = ("exaworks",)
            for word in words.split():
                if not groups.get(path):
                    break
                if word not in groups[path]:
                    wrong.append(f"{page.relative_to(ROOT)}: exaworks{words}")
                    break
                path = (*path, word)
    assert wrong == []


def test_the_reference_has_every_field_exit_code_variable_and_rule() -> None:
    pages = reference.pages()
    for name in System.__struct_fields__:
        assert f"| `{name}` |" in pages["reference/site-file.md"]
    for number, text in EXIT_CODES.items():
        assert f"| {number} | {text} |" in pages["reference/exit-codes.md"]
    for variable in VARIABLES:
        assert f"| `{variable.name}` | {variable.sets} |" in pages["reference/variables.md"]
    for rule in [*(rule.id for rule in RULES), *OWN]:
        assert f"| `{rule}` |" in pages["reference/rules.md"]
    for path, operations in json.loads(reference.files()["reference/openapi.json"])["paths"].items():
        for method in operations:
            assert f"## {method.upper()} `{path}`" in pages["reference/http.md"]


def test_the_published_schemas_are_those_of_the_commands(site: Path) -> None:
    for arguments, file in ((("sites", "schema"), "site"), (("results", "schema"), "record")):
        command = [sys.executable, "-I", "-m", "exaworks_sdk", *arguments]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert json.loads((site / LATEST / f"reference/{file}.schema.json").read_text()) == json.loads(printed)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"$ref": "#/$defs/Queue"}, "[Queue](#queue)"),
        ({"type": "array", "items": {"$ref": "#/$defs/Queue"}}, "list of [Queue](#queue)"),
        ({"type": "array"}, "list"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "mapping to string"),
        ({"type": "object"}, "mapping"),
        ({"enum": ["a", "b"]}, "one of `a`, `b`"),
        ({"const": 2}, "`2`"),
        ({}, "anything"),
    ],
)
def test_a_type_of_a_schema_is_shown_as_text(field: dict[str, object], text: str) -> None:
    assert type_of(field) == text


def test_limits_of_a_field_and_of_its_alternatives_are_shown() -> None:
    assert limits_of({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "null"}]}) == "≥ 1; ≤ 9"
    assert limits_of({"type": "array", "items": {"pattern": "^a|b$"}}) == "matches `^a|b$`"
    assert limits_of({"type": "string"}) == ""


def test_a_cell_of_a_table_keeps_bars_and_lines_within_its_cell() -> None:
    assert table(("a", "b"), [("x|y", "1\n2")]) == "| a | b |\n|---|---|\n| x\\|y | 1 2 |"
    assert code("plain") == "`plain`"
    assert code("with ` tick") == "`` with ` tick ``"


def test_the_name_of_a_file_becomes_the_title_of_its_block() -> None:
    assert titled_blocks("```python hello.py\nx\n```\n") == '```python title="hello.py"\nx\n```\n'
    unchanged = '```sh\nx\n```\n```python title="a.py"\n```\n'
    assert titled_blocks(unchanged) == unchanged


@pytest.mark.parametrize(
    ("page", "link", "in_site"),
    [
        ("index.md", "[a](sites.md#limits)", "[a](sites.md#limits)"),
        ("start/user.md", "[a](../sites.md)", "[a](../sites.md)"),
        ("start/user.md", "[a](../../sdk_tests/report/view.py)", "[a](../reference/exit-codes.md)"),
        ("start/user.md", "[a](../../README.md#commands)", "[a](../reference/commands/index.md)"),
        ("index.md", "[a](../README.md)", "[a](index.md)"),
        ("index.md", "[a\nb](../sdk_tests/diagnosis/rules)", "[a\nb](reference/rules.md)"),
        ("changelog.md", "[a](docs/ci.md), [b](CONTRIBUTING.md)", "[a](ci.md), [b](contributing.md)"),
        ("lock-files.md", "[a](../docs/ci.md#x)", "[a](ci.md#x)"),
        ("examples/own-cases/README.md", "[a](../../extending.md)", "[a](../../extending.md)"),
        ("ci.md", "[a script](../ci/scripts/cron.sh)", "a script"),
        ("ci.md", "[a](https://example.org/x.md), [b](#here)", "[a](https://example.org/x.md), [b](#here)"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(page: str, link: str, in_site: str) -> None:
    assert site_links(link, page) == in_site


def test_a_bar_in_code_in_a_table_loses_its_backslash() -> None:
    text = "| `a \\| b` | c \\| d |\n`not \\| a table`\n"
    assert plain_bars(text) == "| `a | b` | c \\| d |\n`not \\| a table`\n"


def test_everything_that_is_elsewhere_in_the_site_is_in_the_checkout(site: Path) -> None:
    for source, target in MOVED.items():
        path, _, heading = source.partition("#")
        assert (ROOT / path).exists(), source
        assert (site / LATEST / target.removesuffix("README.md").replace(".md", ".html")).is_file(), target
        assert not heading or f"\n## {heading.capitalize()}\n" in (ROOT / path).read_text()


def repository(folder: Path, tags: dict[str, list[str]]) -> Path:
    """Return a git repository with a commit for each tag, which has the listed files."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder)]
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    folder.mkdir()
    subprocess.run([*git, "init", "--quiet"], check=True, env=environ)
    for tag, files in tags.items():
        for name in files:
            (folder / name).touch()
        subprocess.run([*git, "add", "--all"], check=True, env=environ)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", tag], check=True, env=environ)
        subprocess.run([*git, "tag", tag], check=True, env=environ)
    return folder


def test_the_newest_tag_of_each_release_with_a_site_is_built(tmp_path: Path) -> None:
    tags = {"v2026.11.0": [], "v2027.05.0": ["mkdocs.yml"], "v2027.05.2": [], "v2027.05.10": [], "v2027.11.0": []}
    checkout = repository(tmp_path / "checkout", {**tags, "other": [], "v1": []})
    assert release_tags(checkout) == {"2027.11": "v2027.11.0", "2027.05": "v2027.05.10"}


def test_versions_are_beside_each_other_and_the_first_page_leads_to_the_newest_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = repository(tmp_path / "checkout", {"v2027.05.0": ["mkdocs.yml"], "v2027.11.0": ["new.md"]})
    (checkout / "uncommitted.md").touch()
    contents: dict[str, list[str]] = {}

    def fake(tree: Path, target: Path) -> None:
        contents[target.name] = sorted(path.name for path in tree.iterdir() if path.name != ".git")
        target.mkdir()

    monkeypatch.setattr(versions, "build", fake)
    target = tmp_path / "public"
    for _ in range(2):  # a second build replaces the first
        assert versions.build_all(checkout, target, releases=True, progress=print) == ["latest", "2027.11", "2027.05"]
    assert contents == {
        "latest": ["mkdocs.yml", "new.md", "uncommitted.md"],
        "2027.11": ["mkdocs.yml", "new.md"],
        "2027.05": ["mkdocs.yml"],
    }
    assert [entry["version"] for entry in json.loads((target / "versions.json").read_text())] == list(contents)
    assert "url=2027.11/index.html" in (target / "index.html").read_text()
    assert (
        "worktree"
        not in subprocess.run(["git", "-C", str(checkout), "branch", "-a"], capture_output=True).stdout.decode()
    )


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DocsError, match="contains something else than sites"):
        versions.build_all(ROOT, tmp_path, releases=False, progress=print)
    assert (tmp_path / "thesis.tex").exists()
