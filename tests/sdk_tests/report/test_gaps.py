"""The matrix of a report says why a cell is empty by design, and names what does not exist, with its upstream."""

from __future__ import annotations

import msgspec

from dashboard_client.schema import Manifest, Record, Software
from sdk_tests.integration.pairs import NOT_THERE, why_not
from sdk_tests.report.gaps import gaps
from sdk_tests.report.view import view
from tests.sdk_tests.report.examples import manifest, planned, record
from tests.sdk_tests.report.test_html import page

CASES = ("control/hello@slurm", "radical.pilot/pilot@slurm", "radical.pilot+flux/pilot@flux", "psij/hello@flux")
(WHY,) = why_not("radical.pilot", "flux")


def run(*case_ids: str) -> tuple[Manifest, list[Record]]:
    records = [record(each) for each in case_ids]
    return manifest(list(case_ids), records), records


def test_an_empty_cell_that_is_meant_so_leads_to_its_reason() -> None:
    found = page(*run(*CASES))
    said = found.said("matrix")
    assert f"(a) {WHY}" in said
    assert "radical.pilot ✓ 1 pass (a) " in said
    links = [attributes["href"] for tag, attributes in found.elements if tag == "a" and "href" in attributes]
    names = [attributes.get("id") for _, attributes in found.elements]
    assert "#why-a" in links
    assert "why-a" in names


def test_an_empty_cell_without_a_reason_stays_empty_and_a_cell_with_cases_needs_none() -> None:
    found = gaps(view(*run(*CASES)))
    assert found.cells == {("radical.pilot", "flux"): ["a"]}
    assert found.reasons == {"a": WHY}
    assert gaps(view(*run(*CASES, "radical.pilot/pilot@flux"))).cells == {}


def test_what_does_not_exist_has_a_row_with_its_reason_and_its_upstream() -> None:
    said = page(*run(*CASES)).said("matrix")
    (staging,) = [each for each in NOT_THERE if each.case == "psij/staging"]
    assert f"{staging.what} Does not exist. {staging.why}. {staging.reference}" in said
    assert "Parsl over PSI/J" not in said, "no case of Parsl was planned"
    assert "Swift/T submitting to Flux" in page(*run("swift-t/hello@flux")).said("matrix")
    assert "Swift/T submitting to Flux" not in page(*run("swift-t/hello@slurm")).said("matrix")


def test_a_scheduler_is_known_by_its_kind_whatever_a_site_calls_it() -> None:
    named = record("radical.pilot/pilot@machine")
    scheduler = msgspec.structs.replace(named.scheduler, outer=Software(name="flux"))
    other, renamed = record("radical.entk/ensemble@local"), msgspec.structs.replace(named, scheduler=scheduler)
    records = [renamed, other]
    assert gaps(view(manifest([each.case_id for each in records], records), records)).cells == {
        ("radical.entk", "machine"): ["a"]
    }
    nested = manifest([], None)
    nested = msgspec.structs.replace(nested, planned=[planned("psij/hello@slurm+flux"), planned("maestro/study@pbs")])
    assert gaps(view(nested, [])).not_there == [NOT_THERE[0]]
