"""Everything that is sent counts once, in any order and any number of times; contradictions are refused."""

from __future__ import annotations

import gzip
import itertools

import msgspec
import pytest

from collector.api.ingest import MAX_PART_RECORDS, PART_RECORDS, split_batch
from collector.errors import Problem
from collector.store.decoding import DecodedRecord
from collector.store.records import Refusal
from dashboard_client.schema import Outcome, Verdict, digest, encode
from tests.collector.process import TOKEN, Collector, batch
from tests.collector.samples import CASES, cause, closing, manifest, record


def test_a_run_is_opened_filled_and_closed(collector: Collector) -> None:
    opening = manifest("whole-1")
    opened = collector.open(opening)
    assert opened.status_code == 201
    assert opened.json() == {"run_id": "whole-1", "digest": digest(opening), "stored": True}
    sent = [record("whole-1", case) for case in CASES[:4]]
    added = collector.add(*sent)
    assert added.status_code == 200
    acknowledged = [{"record_id": each.record_id, "digest": digest(each)} for each in sent]
    assert added.json() == {"acknowledged": acknowledged, "rejected": []}
    close = closing(4, missing=1)
    closed = collector.close("whole-1", close)
    assert closed.json() == {"run_id": "whole-1", "digest": digest(close), "sequence": 1}
    shown = collector.get("/api/v1/runs/whole-1").json()
    assert shown["counts"] == {"missing": 1, "pass": 4}
    assert shown["state"] == "complete"
    assert shown["outcomes"] == dict.fromkeys(CASES[:4], "pass") | {CASES[4]: "missing"}
    assert shown["manifest"] == msgspec.to_builtins(opening)


def test_sending_the_same_bytes_again_changes_nothing_and_gets_the_same_acknowledgement(collector: Collector) -> None:
    sent, close = [record("again-1", case) for case in CASES], closing(5)
    first = [collector.open(manifest("again-1")), collector.add(*sent), collector.close("again-1", close)]
    before = collector.get("/api/v1/runs/again-1").json()
    again = [collector.open(manifest("again-1")), collector.add(*sent), collector.close("again-1", close)]
    assert again[0].status_code == 200
    assert again[0].json() == first[0].json() | {"stored": False}
    assert [answer.json() for answer in again[1:]] == [answer.json() for answer in first[1:]]
    assert collector.get("/api/v1/runs/again-1").json() == before
    assert before["records"] == len(CASES)


def test_the_same_record_twice_in_a_batch_counts_once(collector: Collector) -> None:
    sent = record("twice-1", CASES[0])
    answer = collector.add(sent, sent).json()
    assert len(answer["acknowledged"]) == 2
    assert collector.get("/api/v1/runs/twice-1").json()["records"] == 1


def test_a_record_with_other_content_is_refused_with_both_digests_and_others_are_stored(
    collector: Collector,
) -> None:
    first, other, fine = record("conflict-1", CASES[0]), record("conflict-1", CASES[0], output="else"), CASES[1]
    collector.add(first)
    answer = collector.add(other, record("conflict-1", fine)).json()
    assert [item["record_id"] for item in answer["acknowledged"]] == [record("conflict-1", fine).record_id]
    (refused,) = answer["rejected"]
    assert (refused["index"], refused["record_id"]) == (0, first.record_id)
    problem = refused["problem"]
    assert problem["status"] == 409
    assert (problem["stored_digest"], problem["sent_digest"]) == (digest(first), digest(other))
    stored = collector.get(f"/api/v1/records/{first.record_id}").content
    assert stored == msgspec.json.encode(first, order="sorted")


def test_a_run_with_another_manifest_is_a_conflict_with_both_digests(collector: Collector) -> None:
    first, other = manifest("conflict-2"), manifest("conflict-2", owner="someone else")
    collector.open(first)
    answer = collector.open(other)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["stored_digest"], answer.json()["sent_digest"]) == (digest(first), digest(other))


def test_the_highest_closing_counts_and_other_content_with_its_sequence_is_a_conflict(collector: Collector) -> None:
    collector.open(manifest("closed-1"))
    late, early = closing(5, sequence=2), closing(3, missing=2, sequence=1, state="interrupted", exit_code=130)
    assert collector.close("closed-1", late).status_code == 200
    assert collector.close("closed-1", early).json()["digest"] == digest(early)
    shown = collector.get("/api/v1/runs/closed-1").json()
    assert (shown["state"], shown["sequence"], shown["closing"]["recorded"]) == ("complete", 2, 5)
    answer = collector.close("closed-1", closing(4, sequence=2))
    assert answer.status_code == 409
    assert answer.json()["stored_digest"] == digest(late)


def test_records_may_come_before_their_run(collector: Collector) -> None:
    collector.add(*(record("early-1", case) for case in CASES[:2]))
    known = collector.get("/api/v1/runs/early-1").json()
    assert (known["counts"], known["manifest"], known["started"]) == ({"pass": 2}, None, "2026-11-20T08:01:00.000Z")
    assert collector.open(manifest("early-1")).status_code == 201
    shown = collector.get("/api/v1/runs/early-1").json()
    assert list(shown["outcomes"]) == CASES
    assert shown["counts"] == {"missing": 3, "pass": 2}
    assert shown["started"] == "2026-11-20T08:00:00.000Z"


def test_closing_an_unknown_run_is_not_found(collector: Collector) -> None:
    answer = collector.close("never-opened", closing(1))
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:exaworks:problem:no-such-run")


def test_the_highest_attempt_gives_the_outcome_of_a_case_in_any_order_of_arrival(collector: Collector) -> None:
    attempts = [record("tries-1", CASES[0], Outcome.INFRA, 1), record("tries-1", CASES[0], Outcome.PASS, 2)]
    for run_id, order in (("tries-1", attempts), ("tries-2", attempts[::-1])):
        for each in order:
            copy = record(run_id, CASES[0], each.verdict.outcome, each.retries.attempt)
            collector.add(copy)
        shown = collector.get(f"/api/v1/runs/{run_id}").json()
        assert (shown["counts"], shown["records"]) == ({"pass": 1}, 2)
    after = record("tries-2", CASES[1])
    assert collector.add(after).json()["rejected"] == []
    assert collector.get("/api/v1/runs/tries-2").json()["records"] == 3


def test_a_case_that_is_not_planned_is_listed_after_the_plan(collector: Collector) -> None:
    collector.open(manifest("extra-1", CASES[:1]))
    collector.add(record("extra-1", "flux/hello@flux"), record("extra-1", CASES[0]))
    assert collector.get("/api/v1/runs/extra-1").json()["outcomes"] == {CASES[0]: "pass", "flux/hello@flux": "pass"}


def test_a_gzip_body_is_accepted(collector: Collector) -> None:
    body = gzip.compress(batch(record("gzip-1", case) for case in CASES))
    answer = collector.post("/api/v1/records", body, Content_Encoding="gzip")
    assert len(answer.json()["acknowledged"]) == len(CASES)


def test_ids_of_runs_are_unique_within_a_system_only(collector: Collector) -> None:
    """A run id is chosen by a site; another site that uses the same one must not disturb it, on purpose or not."""
    mine, theirs = manifest("same"), manifest("same", site="llnl", system="tuolumne")
    assert [collector.open(each).json()["stored"] for each in (mine, theirs)] == [True, True]
    records = [record("same", CASES[0]), record("same", CASES[0], Outcome.FAIL, site="llnl", system="tuolumne")]
    answer = collector.add(*records).json()
    assert (len(answer["acknowledged"]), answer["rejected"]) == (2, [])
    end = closing(1)
    ambiguous = collector.close("same", end)
    assert ambiguous.status_code == 409
    assert ambiguous.json()["type"].endswith("ambiguous-run")
    assert "llnl/tuolumne, ornl/frontier" in ambiguous.json()["detail"]
    for place in ("site=ornl&system=frontier", "site=llnl&system=tuolumne"):
        closed = collector.post(f"/api/v1/runs/same/close?{place}", encode(end))
        assert closed.status_code == 200, closed.text
    outcomes = [
        collector.get(f"/api/v1/runs/same?{place}", TOKEN).json()["outcomes"][CASES[0]]
        for place in ("site=ornl&system=frontier", "site=llnl&system=tuolumne")
    ]
    assert outcomes == ["pass", "fail"]
    assert collector.get("/api/v1/runs/same", TOKEN).status_code == 409
    assert collector.get("/api/v1/runs/same/records", TOKEN).status_code == 409
    assert collector.get("/runs/same", TOKEN).status_code == 409
    assert "psij/hello" in collector.get("/runs/ornl/frontier/same", TOKEN).text
    assert collector.get("/runs/ornl/frontier/same.json", TOKEN).json()["site"] == "ornl"


def test_all_cases_of_a_large_batch_are_stored(collector: Collector) -> None:
    cases = [f"psij/bulk:n={number}@slurm" for number in range(2500)]
    collector.open(manifest("many-1", cases[:2000]))
    for part in (cases[1500:], cases[:1500]):
        assert collector.add(*(record("many-1", case) for case in part)).json()["rejected"] == []
    shown = collector.get("/api/v1/runs/many-1").json()
    assert (shown["records"], shown["counts"]) == (2500, {"pass": 2500})
    assert list(shown["outcomes"])[:2000] == cases[:2000]


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        ([300] * 10, [900, 900, 900, 300]),
        ([MAX_PART_RECORDS * 2 + 1], [MAX_PART_RECORDS, MAX_PART_RECORDS, 1]),
        ([PART_RECORDS, PART_RECORDS], [PART_RECORDS, PART_RECORDS]),
        ([1] * (PART_RECORDS + 1), [PART_RECORDS, 1]),
        ([], []),
    ],
)
def test_a_batch_is_stored_in_parts_that_keep_runs_together(sizes: list[int], cut: list[int]) -> None:
    """A record that could not be read belongs to the run before it."""
    items: list[DecodedRecord | Refusal] = []
    for number, size in enumerate(sizes):
        run = record(f"run-{number}", CASES[0])
        items += [DecodedRecord(place, run, b"", b"", None, None, None) for place in range(size)]
        if size > 1:
            items[-size // 2] = (0, None, Problem(422, "invalid", "Cannot be read."))
    divided = list(split_batch(items))
    assert [len(part) for part in divided] == cut
    assert [item for part in divided for item in part] == items


def test_records_are_read_back_as_they_were_sent_a_page_at_a_time(collector: Collector) -> None:
    sent = [record("paged-1", case, output="ünïcode \U0001f680 </script>") for case in CASES]
    collector.add(*sent)
    received, after = [], 0
    for _ in range(4):
        page = collector.get(f"/api/v1/runs/paged-1/records?limit=2&after={after}").json()
        received += page["records"]
        after = page["after"]
        if after is None:
            break
    assert sorted(item["record_id"] for item in received) == sorted(each.record_id for each in sent)
    assert {item["evidence"]["output_tail"] for item in received} == {"ünïcode \U0001f680 </script>"}


def test_a_record_is_read_back_with_the_digest_that_was_acknowledged(collector: Collector) -> None:
    sent = record("digest-1", CASES[0])
    (acknowledged,) = collector.add(sent).json()["acknowledged"]
    answer = collector.get(f"/api/v1/records/{sent.record_id}")
    assert answer.headers["X-ExaWorks-Digest"] == acknowledged["digest"]
    assert "X-ExaWorks-Pruned" not in answer.headers


def test_runs_are_listed_newest_first_a_page_at_a_time(collector: Collector) -> None:
    for number in range(5):
        started = f"2026-11-0{min(number, 3) + 1}T00:00:00Z"
        collector.open(manifest(f"listed-{number}", [], system="listing", started=started))
    listed, before = [], ""
    for _ in itertools.repeat(None, 5):
        page = collector.get(f"/api/v1/runs?system=listing&limit=2{before}").json()
        listed += [run["run_id"] for run in page["runs"]]
        if page["before"] is None:
            break
        before = f"&before={page['before']}"
    assert listed == ["listed-4", "listed-3", "listed-2", "listed-1", "listed-0"]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_is_stored_unchanged(collector: Collector, outcome: Outcome) -> None:
    sent = record(f"kept-{outcome.value}", CASES[0], verdict=Verdict(outcome=outcome, cause=cause(outcome)))
    collector.add(sent)
    assert collector.get(f"/api/v1/runs/kept-{outcome.value}").json()["counts"] == {outcome.value: 1}
