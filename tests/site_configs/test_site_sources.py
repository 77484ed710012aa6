"""The pages that a site file cites: which values they cover, how old they are, and what must be compared again."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from site_configs.cli import sites
from site_configs.document import read
from site_configs.errors import SiteFileError
from site_configs.load import PACKAGED, digest, load_file, load_text
from site_configs.schema import Source, State
from site_configs.sources import OLD_AFTER, OWN, age, facts, is_old

TODAY = datetime.datetime.now(datetime.timezone.utc).date()
FILES = {f"{path.parent.name}/{path.stem}": path for path in sorted(PACKAGED.glob("*/*.yaml"))}
FACILITIES = [name for name in FILES if not name.startswith("local/")]

MACHINE = """\
system: lab/machine
description: a machine
schedulers:
  - kind: slurm
    queues:
      - {name: debug, max_nodes: 2}
      - {name: batch, max_nodes: 64}
    launchers: [{name: srun}]
  - {kind: flux, nested: true, start: [flux, start]}
node: {cores: 64, usable_cores: 56}
"""
PAGE = "https://docs.example.org/machine"


def days_ago(days: int) -> str:
    return str(TODAY - datetime.timedelta(days=days))


def machine(*sources: str, state: str = "active") -> str:
    lines = "".join(f"  - {{page: '{PAGE}', {source}}}\n" for source in sources)
    return f"{MACHINE}state: {state}\nsources:\n{lines}"


def cited(text: str) -> dict[str, tuple[int, ...]]:
    return {fact.name: fact.sources for fact in facts(read(text).values, load_text(text, "x.yaml").sources)}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(sites, ["refresh", *arguments], catch_exceptions=False)


def write(folder: Path, text: str) -> str:
    file = folder / "machine.yaml"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("node", {"node.cores", "node.usable_cores"}),
        ("node.cores", {"node.cores"}),
        ("schedulers.queues", {f"schedulers[0].queues[{n}].{key}" for n in (0, 1) for key in ("name", "max_nodes")}),
        ("schedulers.queues[1]", {"schedulers[0].queues[1].name", "schedulers[0].queues[1].max_nodes"}),
        ("schedulers.queues[1].max_nodes", {"schedulers[0].queues[1].max_nodes"}),
        ("schedulers[1]", {"schedulers[1].kind", "schedulers[1].start"}),
        ("schedulers.kind", {"schedulers[0].kind", "schedulers[1].kind"}),
    ],
)
def test_a_key_covers_what_is_below_it_in_every_entry_or_in_one(pattern: str, covered: set[str]) -> None:
    found = cited(machine(f"facts: ['{pattern}']"))
    assert {name for name, places in found.items() if places} == covered


def test_the_longest_key_counts_and_equally_long_ones_all_count() -> None:
    found = cited(machine("facts: [node]", "facts: [node.cores]", "facts: [node.cores]"))
    assert found["node.usable_cores"] == (0,)
    assert found["node.cores"] == (1, 2)
    found = cited(machine("facts: [schedulers.queues]", "facts: ['schedulers[0].queues']"))
    assert {places for name, places in found.items() if "queues" in name} == {(1,)}


def test_values_without_a_page_are_listed_but_not_the_writers_own_decisions() -> None:
    found = cited(machine("facts: [node]"))
    assert found["schedulers[0].queues[0].max_nodes"] == ()
    assert not {"system", "description", "state", "sources[0].page", "schedulers[1].nested"} & set(found)


def test_a_source_cites_a_decision_only_by_its_own_key() -> None:
    assert cited(machine("facts: [schedulers.nested]"))["schedulers[1].nested"] == (0,)
    assert "schedulers[1].nested" not in cited(machine("facts: [schedulers]"))
    assert cited(machine("facts: [state]"))["state"] == (0,)


@pytest.mark.parametrize(
    "pattern", ["nodes", "node.core", "schedulers[2]", "schedulers.queues[0].min_nodes", "node[0]"]
)
def test_a_key_that_the_file_does_not_have_is_refused_with_its_line(pattern: str) -> None:
    with pytest.raises(SiteFileError, match=r"x.yaml:13: sources\[0\].facts\[0\]: the file has no value"):
        load_text(machine(f"facts: ['{pattern}']"), "x.yaml")


@pytest.mark.parametrize("pattern", ["node..cores", "schedulers[]", "schedulers[one]", ".", "node.", "*"])
def test_a_text_that_is_no_key_is_refused(pattern: str) -> None:
    with pytest.raises(SiteFileError, match="is not a key"):
        load_text(machine(f"facts: ['{pattern}']"), "x.yaml")


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        ("as_of: 2026-02-30", "2026-02-30 is not a calendar date"),
        (f"as_of: {days_ago(-3)}", "is in the future"),
        (f"checked: {days_ago(-3)}", "is in the future"),
        ("changed: 2024-05-02, as_of: 2024-05-01", "2024-05-02 is after as_of"),
        ("as_of: 2024-05-02, checked: 2024-05-01", "2024-05-02 is after checked"),
        ("changed: 2024-05-02, checked: 2024-05-01", "2024-05-02 is after checked"),
    ],
)
def test_a_date_that_cannot_be_is_refused(dates: str, message: str) -> None:
    with pytest.raises(SiteFileError, match=message):
        load_text(machine(f"facts: [node], {dates}"), "x.yaml")


@pytest.mark.parametrize("source", ["facts: []", "section: x", "facts: [node], page: docs.example.org"])
def test_a_source_needs_an_address_and_keys(source: str) -> None:
    text = f"{MACHINE}sources:\n  - {{page: '{PAGE}', {source}}}\n"
    with pytest.raises(SiteFileError):
        load_text(text.replace(f"page: '{PAGE}', ", "") if "page: docs" in source else text, "x.yaml")


@given(st.integers(0, 4000), st.integers(0, 4000))
def test_a_fact_is_old_after_the_given_days(days: int, limit: int) -> None:
    source = Source(page=PAGE, facts=["node"], as_of=days_ago(days), checked=str(TODAY))
    assert age(source, TODAY) == days
    assert is_old(source, TODAY, limit) == (days > limit)


def test_a_page_without_a_known_state_counts_as_old_however_lately_it_was_compared() -> None:
    source = Source(page=PAGE, facts=["node"], checked=str(TODAY))
    assert age(source, TODAY) is None
    assert is_old(source, TODAY)


def test_check_warns_of_old_facts_and_still_exits_0(tmp_path: Path) -> None:
    for as_of, warned in ((days_ago(OLD_AFTER), False), (days_ago(OLD_AFTER + 1), True)):
        file = write(tmp_path, machine(f"facts: [node], as_of: {as_of}"))
        result = CliRunner().invoke(sites, ["check", file])
        assert result.exit_code == 0
        assert result.stdout == f"{file}: ok, lab/machine\n"
        assert ("warning: " in result.stderr) == warned
    assert result.stderr.startswith(f"warning: {file}:12: sources: 2 of 2 facts were read more than 180 days ago")
    [row] = json.loads(CliRunner().invoke(sites, ["check", file, "--json"]).stdout)
    assert row["problems"] == []
    assert "2 of 2 facts" in row["warning"]


def test_a_retired_system_is_never_old(tmp_path: Path) -> None:
    file = write(tmp_path, machine("facts: [node], as_of: 2015-01-01", state="retired"))
    assert CliRunner().invoke(sites, ["check", file]).stderr == ""
    result = run("--site-file", file)
    assert result.exit_code == 0
    assert "lab/machine, retired: 2 facts from 1 pages and sections, 0 older than 180 days or undated" in result.output


def test_refresh_prints_page_section_age_and_value_of_each_fact(tmp_path: Path) -> None:
    dates = f"changed: {days_ago(40)}, as_of: {days_ago(30)}, checked: {TODAY}"
    file = write(tmp_path, machine(f"facts: [node], section: Nodes, {dates}"))
    result = run("--site-file", file)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"lab/machine: {PAGE}, 'Nodes'"
    assert lines[1] == f"  as of {days_ago(30)} (30 days), page changed {days_ago(40)}, compared {TODAY}"
    assert [line.split() for line in lines[2:4]] == [["node.cores", "64"], ["node.usable_cores", "56"]]
    assert lines[4] == "lab/machine: no page is cited for"


def test_refresh_exits_1_if_a_fact_is_older_than_the_days_given(tmp_path: Path) -> None:
    file = write(tmp_path, machine(f"facts: [node.cores], as_of: {days_ago(30)}", "facts: [node.usable_cores]"))
    assert run("--site-file", file).exit_code == 1  # the age of the second one is unknown
    file = write(tmp_path, machine(f"facts: [node], as_of: {days_ago(30)}"))
    assert run("--site-file", file).exit_code == 0
    assert run("--site-file", file, "--days", "30").exit_code == 0
    assert run("--site-file", file, "--days", "29").exit_code == 1


def test_old_shows_only_what_has_to_be_compared_again(tmp_path: Path) -> None:
    new, old = f"facts: [node.cores], as_of: {days_ago(3)}", f"facts: [node.usable_cores], as_of: {days_ago(999)}"
    file = write(tmp_path, machine(new, old))
    shown = run("--site-file", file, "--old").output
    assert "node.usable_cores" in shown
    assert "(999 days), old: read it again" in shown
    assert "node.cores" not in shown
    assert "no page is cited" not in shown
    [row] = json.loads(run("--site-file", file, "--old", "--json").output)
    assert (row["key"], row["value"], row["age_days"], row["old"]) == ("node.usable_cores", 56, 999, True)


def test_json_has_one_entry_for_each_fact_and_page(tmp_path: Path) -> None:
    file = write(
        tmp_path, machine(f"facts: [node], as_of: {days_ago(3)}", "facts: [node.cores]", "facts: [node.cores]")
    )
    rows = json.loads(run("--site-file", file, "--json").output)
    by_key: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_key.setdefault(row["key"], []).append(row)
    assert [row["age_days"] for row in by_key["node.cores"]] == [None, None]
    assert [row["age_days"] for row in by_key["node.usable_cores"]] == [3]
    assert by_key["node.usable_cores"][0]["line"] == 10
    [uncited] = by_key["schedulers[0].launchers[0].name"]
    assert (uncited["page"], uncited["old"]) == (None, False)


def test_refresh_shows_the_named_systems_only() -> None:
    rows = json.loads(run("anl/aurora", "ornl/summit", "--json").output)
    assert {row["system"] for row in rows} == {"anl/aurora", "ornl/summit"}


def test_refresh_of_an_unknown_system_exits_2_with_the_nearest_name() -> None:
    result = run("anl/auror")
    assert result.exit_code == 2
    assert "did you mean 'anl/aurora'?" in result.output


def test_an_empty_list_is_no_value_that_needs_a_page() -> None:
    text = "system: lab/x\ndescription: x\nschedulers: []\nnode: {}\n"
    assert facts(read(text).values, []) == []


def test_a_site_file_without_pages_is_shown_without_an_error(tmp_path: Path) -> None:
    result = run("--site-file", write(tmp_path, MACHINE))
    assert result.exit_code == 0
    assert "lab/machine: 0 facts from 0 pages" in result.output


def test_the_digest_of_records_does_not_change_when_a_page_is_read_again() -> None:
    earlier, later = (
        load_text(machine(f"facts: [node], as_of: {day}"), "x.yaml") for day in ("2024-01-01", "2025-01-01")
    )
    assert digest(earlier) == digest(later) == digest(load_text(f"{MACHINE}state: active\n", "x.yaml"))


@pytest.mark.parametrize("name", FACILITIES)
def test_every_value_of_a_packaged_file_has_a_page_or_is_the_projects_own_decision(name: str) -> None:
    system = load_file(FILES[name])
    assert system.sources
    uncited = [fact.name for fact in facts(read(FILES[name].read_text()).values, system.sources) if not fact.sources]
    ours = {"schedulers[0].exclusive"} if system.state is State.RETIRED else set()
    assert set(uncited) <= ours


@pytest.mark.parametrize("name", FACILITIES)
def test_a_compared_page_is_one_whose_state_is_given_or_was_in_an_undated_copy(name: str) -> None:
    for source in load_file(FILES[name]).sources:
        assert source.as_of or source.checked or "hpc.llnl.gov" in source.page or "docs.nersc.gov" in source.page


def test_the_own_decisions_are_keys_of_the_schema() -> None:
    from tests.site_configs.test_site_docs import MODEL

    fields = {info for kind in MODEL.values() for info in kind.__struct_fields__}
    assert {part for key in OWN for part in key.split(".")} <= fields
