"""``docs/matrix.md`` is generated from the cases, and gives a reason for every combination without a case."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dashboard_client.schema import CONTROL
from sdk_tests.integration.gaps import GAPS
from sdk_tests.integration.pairs import MEANT, NOT_THERE, UNPLANNED
from sdk_tests.model.case import Case
from sdk_tests.plan import matrix
from sdk_tests.plan.components import components
from sdk_tests.plan.matrix import Row

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "matrix.md"
COLUMNS = ("local", "slurm")


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return matrix.rows()


def row(name: str, claim: str = "a claim", **given: object) -> Row:
    return Row(Case(component="psij", name=name, payload="psij/hello.py", **given), claim)  # type: ignore[arg-type]


def test_the_page_is_current(rows: list[Row]) -> None:
    page = matrix.matrix(rows, matrix.schedulers())
    if PAGE.read_text(encoding="utf-8") != page:
        pytest.fail(f"docs/matrix.md is out of date; run: {matrix.COMMAND}", pytrace=False)


def test_the_page_contains_every_case(rows: list[Row]) -> None:
    written = {
        line.split("(")[0].removeprefix("def ")
        for path in (ROOT / "sdk_tests" / "integration").glob("test_*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("def test_")
    }
    assert {"test_" + each.claim.replace(" ", "_") for each in rows} == written


def test_the_intended_pairs_are_exactly_those_with_a_case(rows: list[Row]) -> None:
    paired = {(each.case.component, partner) for each in rows for partner in each.case.partners}
    assert paired == set(MEANT)


def test_a_component_or_pair_without_a_case_on_a_scheduler_has_a_reason(rows: list[Row]) -> None:
    columns = matrix.schedulers()
    for family in {each.family for each in rows}:
        for name in columns:
            planned = any(each.cell(name) for each in rows if each.family == family)
            reasons = matrix.unplanned(family, name)
            assert planned or reasons, (
                f"{family} has no case on {name}: add the reason to sdk_tests/integration/pairs.py, then run "
                f"{matrix.COMMAND}"
            )


def test_a_case_that_is_not_planned_on_a_scheduler_has_a_reason(rows: list[Row]) -> None:
    for each in rows:
        own = [row for row in rows if row.family == each.family]
        for name in matrix.schedulers():
            planned = any(row.cell(name) for row in own if row.name == each.name) or matrix.unplanned(each.family, name)
            assert planned or matrix.empty(each, own, name), (
                f"{each.full_name} is not planned on {name}: add the reason to sdk_tests/integration/gaps.py, then run "
                f"{matrix.COMMAND}"
            )


def test_every_reason_in_gaps_is_about_an_existing_case_that_is_not_planned(rows: list[Row]) -> None:
    for gap in GAPS:
        covered = [(each, name) for each in rows for name in gap.schedulers if gap.covers(each.full_name, name)]
        filled = [f"{each.full_name}@{name}" for each, name in covered if each.cell(name)]
        assert covered, f"remove this reason, there is no such case: {gap.why}"
        assert not filled, f"remove this reason, {filled} are planned: {gap.why}"


def test_every_reason_in_pairs_is_about_a_combination_without_a_case(rows: list[Row]) -> None:
    for each in UNPLANNED:
        empty = [
            (family, name)
            for family in each.families
            for name in each.schedulers
            if not any(row.cell(name) for row in rows if row.family == family)
        ]
        assert empty, f"remove this reason, there are cases now: {each.why}"


def test_every_combination_that_does_not_exist_links_to_upstream() -> None:
    for each in NOT_THERE:
        assert each.reference.startswith("https://")
        assert each.reference in PAGE.read_text(encoding="utf-8")


def test_the_columns_are_the_schedulers_of_the_harness_with_local_first() -> None:
    assert matrix.schedulers() == ["local", "cobalt", "flux", "lsf", "pbs", "slurm"]


def test_every_family_consists_of_known_components(rows: list[Row]) -> None:
    names = {name for each in rows for name in (each.case.component, *each.case.partners)}
    assert names <= {*components(), CONTROL}


def test_a_cell_is_planned_a_known_failure_or_empty_with_a_reason() -> None:
    everywhere = row("everywhere", schedulers=("*",), broken_on={"slurm": "it is slow"})
    one = row("one", schedulers=("slurm",), nodes=2, variant="big=1")
    known = row("known", schedulers=("local",), xfail="never worked")
    old = row("old", schedulers=("local",), versions={"psij": "0.9.*"})
    page = matrix.matrix([everywhere, one, known, old], COLUMNS)
    assert "| `everywhere` | integration | a claim | yes | fails |" in page
    assert "| `one:big=1/2n` | integration | a claim | (1) | yes |" in page
    assert "| `known` | integration | a claim | fails |  |" in page
    assert "| [psij](#psij) | 3, 1 fails | 2, 1 fails |" in page
    assert "- `everywhere`: it is slow\n- `known`: never worked\n- `old`: runs only with psij 0.9.*" in page
    assert "\n- (1) one machine is one node" in page


def test_a_pair_has_a_row_of_its_own() -> None:
    page = matrix.matrix([row("alone"), row("together", partners=("flux",))], COLUMNS)
    assert "| [psij](#psij) | 1 | 1 |" in page
    assert "| [psij+flux](#psijflux) | 1 | 1 |" in page
    assert "| psij with flux | `together` |" in page
    assert "| parsl with flux | none yet |" in page


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    done = CliRunner().invoke(matrix.main, ["--to", str(tmp_path / "matrix.md")])
    printed = CliRunner().invoke(matrix.main, [])
    assert (done.exit_code, done.output, printed.exit_code) == (0, "", 0)
    assert (tmp_path / "matrix.md").read_text(encoding="utf-8") == printed.output
    assert printed.output.startswith("# Matrix\n")
