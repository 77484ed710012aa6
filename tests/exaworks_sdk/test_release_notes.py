"""The documentation page of a release, the comparison of two releases, and the newest upstream versions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from exaworks_sdk.paths import Places
from exaworks_sdk.release import ReleaseComponent, load, names
from exaworks_sdk.releasing import upstream as release_upstream
from exaworks_sdk.releasing.cli import release as command
from exaworks_sdk.releasing.notes import changes, page
from exaworks_sdk.releasing.upstream import upstream, versions

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", names())
def test_the_page_of_a_release_is_derived_from_its_manifest(name: str) -> None:
    assert (ROOT / "docs" / "releases" / f"{name}.md").read_text() == page(load(name))


def test_the_difference_of_two_releases_lists_newer_older_new_and_gone_components() -> None:
    before = load()
    first, second, third, *rest = before.components
    newer = msgspec.structs.replace(first, version="1000.0")
    older = msgspec.structs.replace(second, version="0.0.1")
    added = msgspec.structs.replace(third, name="dask")
    after = msgspec.structs.replace(before, components=[newer, older, added, *rest], pins={})
    assert {(c.name, c.kind) for c in changes(before, after)} == {
        (first.name, "newer"),
        (second.name, "older"),
        (third.name, "gone"),
        ("dask", "new"),
        *((name, "gone") for name in before.pins),
    }
    assert changes(before, before) == []


def test_a_release_has_no_difference_from_itself() -> None:
    name = names()[0]
    done = CliRunner().invoke(command, ["diff", name, name])
    assert done.output == f"Releases {name} and {name} have the same versions.\n"
    assert json.loads(CliRunner().invoke(command, ["diff", name, name, "--json"]).output) == []


def component(**changes: object) -> ReleaseComponent:
    fields = {"name": "x", "version": "1.9.0", "spack": "x", "licence": "MIT", "url": "https://example.org/x"}
    return ReleaseComponent(**{**fields, **changes})  # type: ignore[arg-type]


def test_versions_are_ordered_by_number_and_pre_releases_left_out() -> None:
    listing = "x (1.10.0)\nAvailable versions: 1.10.0, 1.9.0, 2.0.0rc1\n  INSTALLED: 1.9.0\n"
    assert versions(listing, component(pypi="x")) == ["1.10.0", "1.9.0"]
    tags = "abc\trefs/tags/v0.9.0\ndef\trefs/tags/v0.10.0\nghi\trefs/tags/v0.10.0^{}\njkl\trefs/tags/v0.11.0-rc1\n"
    assert versions(tags, component()) == ["0.9.0", "0.10.0", "0.10.0"]


def test_a_release_is_behind_a_repository_with_a_newer_tag(tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    for tag in ("v1.9.0", "v1.10.0"):
        subprocess.run([*git, "tag", tag], check=True)
    result = upstream(component(url=tmp_path.as_uri()))
    assert (result.newest, result.behind, result.reason) == ("1.10.0", True, None)
    assert upstream(component(url=tmp_path.as_uri(), version="1.10.0")).behind is False


def test_the_version_of_a_repository_that_does_not_answer_is_unknown_and_not_up_to_date(tmp_path: Path) -> None:
    result = upstream(component(url=(tmp_path / "nowhere").as_uri()))
    assert result.newest is None
    assert result.behind is None
    assert result.reason is not None
    assert result.reason.startswith("unknown: fatal")


def test_lag_prints_the_components_that_are_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def query(component: ReleaseComponent) -> release_upstream.Upstream:
        newest = "9999.0" if component.name == "parsl" else component.version
        return release_upstream.Upstream(component.name, component.version, newest)

    monkeypatch.setattr(release_upstream, "upstream", query)
    entries = json.loads(CliRunner().invoke(command, ["lag", "--json"]).output)
    assert [each["name"] for each in entries if each["behind"]] == ["parsl"]
    assert "behind" in CliRunner().invoke(command, ["lag"]).output


def test_environments_writes_one_for_the_release_and_one_for_each_system_with_a_scope(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["environments"], obj=Places(home=tmp_path, checkout=tmp_path))
    assert done.exit_code == 0, done.output
    folder = tmp_path / "spack_repo" / "environments" / names()[0]
    assert f"{folder}/spack.yaml" in done.output.splitlines()
    assert f"{folder}/llnl/dane/spack.yaml" in done.output.splitlines()
    assert "include:" in (folder / "llnl" / "dane" / "spack.yaml").read_text()
    installed = CliRunner().invoke(command, ["environments"], obj=Places(home=tmp_path, checkout=None))
    assert installed.exit_code == 2
    assert "run the command from a checkout" in installed.output
