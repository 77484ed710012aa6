"""The matrix of a report gives the reason for empty cells, and lists what does not exist, with the upstream source."""

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


def test_an_empty_cell_with_a_known_reason_links_to_it() -> None:
    parsed = page(*run(*CASES))
    text = parsed.section_text("matrix")
    assert f"(a) {WHY}" in text
    assert "radical.pilot ✓ 1 pass (a) " in text
    links = [attributes["href"] for tag, attributes in parsed.elements if tag == "a" and "href" in attributes]
    names = [attributes.get("id") for _, attributes in parsed.elements]
    assert "#why-a" in links
    assert "why-a" in names


def test_only_empty_cells_with_a_known_reason_refer_to_one() -> None:
    known = gaps(view(*run(*CASES)))
    assert known.cells == {("radical.pilot", "flux"): ["a"]}
    assert known.reasons == {"a": WHY}
    assert gaps(view(*run(*CASES, "radical.pilot/pilot@flux"))).cells == {}


def test_what_does_not_exist_has_a_row_with_the_reason_and_the_source() -> None:
    text = page(*run(*CASES)).section_text("matrix")
    (staging,) = [each for each in NOT_THERE if each.case == "psij/staging"]
    assert f"{staging.what} Does not exist. {staging.why}. {staging.reference}" in text
    assert "Parsl over PSI/J" not in text, "no case of Parsl was planned"
    assert "Swift/T submitting to Flux" in page(*run("swift-t/hello@flux")).section_text("matrix")
    assert "Swift/T submitting to Flux" not in page(*run("swift-t/hello@slurm")).section_text("matrix")


def test_a_scheduler_is_recognized_by_its_kind_under_any_name() -> None:
    named = record("radical.pilot/pilot@machine")
    scheduler = msgspec.structs.replace(named.scheduler, outer=Software(name="flux"))
    other, renamed = record("radical.entk/ensemble@local"), msgspec.structs.replace(named, scheduler=scheduler)
    records = [renamed, other]
    assert gaps(view(manifest([each.case_id for each in records], records), records)).cells == {
        ("radical.entk", "machine"): ["a"]
    }
    nested = manifest([], None)
    nested = msgspec.structs.replace(nested, planned=[planned("psij/hello@slurm+flux"), planned("maestro/study@pbs")])
    assert gaps(view(nested, [])).unavailable == [NOT_THERE[0]]
