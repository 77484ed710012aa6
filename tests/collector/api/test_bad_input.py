"""A wrong request gets a problem document that names the place; the other records of its batch are stored."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector import limits
from collector.clock import now_ms
from collector.errors import Problem
from collector.store.decoding import DecodedRecord, is_name, matches_name, read_batch
from dashboard_client.schema import Waiver, encode, record_id
from tests.collector.process import TOKEN, Collector, batch, raw_batch
from tests.collector.samples import CASES, closing, manifest, record

SOME_DAY = "2999-01-01T00:00:00Z"


def changed(run: str, /, **members: Any) -> dict[str, Any]:
    """Return a valid record as plain data with members replaced; ``__`` in a name separates the levels."""
    data: dict[str, Any] = msgspec.to_builtins(record(run, CASES[0]))
    for name, value in members.items():
        *path, last = name.split("__")
        inner = data
        for step in path:
            inner = inner[step]
        inner[last] = value
    identity = [data["context"]["site"], data["context"]["system"], data["run_id"], data["case_id"]]
    if "record_id" not in members and all(isinstance(name, str) for name in identity):
        data["record_id"] = record_id(*identity, data["retries"]["attempt"])
    return data


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"in": value}
    return value


WRONG: dict[str, tuple[dict[str, Any], str | None, int]] = {
    "an empty key": ({"run_id": ""}, "run_id", 422),
    "a key with a newline": ({"case_id": "psij/hello\n@local"}, "case_id", 422),
    "an empty site": ({"context__site": ""}, "context.site", 422),
    "a site with a slash": ({"context__site": "a/b"}, "context.site", 422),
    "a wrong type": ({"retries": {"attempt": "1"}}, "retries.attempt", 422),
    "attempt zero": ({"retries__attempt": 0}, "retries.attempt", 422),
    "an unknown key": ({"context__surprise": 1}, "context.surprise", 422),
    "an unknown key on top": ({"surprise": 1}, "surprise", 422),
    "another schema": ({"schema": 3}, None, 422),
    "an unknown outcome": ({"verdict__outcome": "flaky"}, "verdict.outcome", 422),
    "a fail without a cause": ({"verdict__outcome": "fail"}, "verdict", 422),
    "a text that is not a date": ({"timing__started": "yesterday"}, "timing.started", 422),
    "a date without a zone": ({"timing__started": "2026-11-20T08:00:00"}, "timing.started", 422),
    "a future date": ({"timing__ended": SOME_DAY}, "timing.ended", 422),
    "a record id of something else": ({"record_id": "0" * 64}, "record_id", 422),
    "deep extras": ({"extras": nested(40)}, "extras", 422),
    "deep parameters": ({"case__params": nested(31)}, "case", 422),
    "an absurd duration": ({"timing__run": {"seconds": 1e308, "source": "harness"}}, "timing.run.seconds", 422),
    "an absurd metric": (
        {"metrics": [{"name": "m", "value": -1e308, "unit": "s", "better": "lower"}]},
        "metrics[0].value",
        422,
    ),
    "ten megabytes of output": ({"evidence__output_tail": "x" * 10_000_000}, "evidence", 413),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_record_is_rejected_by_name_and_the_others_of_its_batch_are_stored(
    collector: Collector, mistake: str
) -> None:
    members, field, status = WRONG[mistake]
    run_id = "wrong-" + mistake.replace(" ", "-")
    before, after = record(run_id, CASES[1]), record(run_id, CASES[2])
    answer = collector.post("/api/v1/records", raw_batch(before, changed(run_id, **members), after))
    assert answer.status_code == 200
    result = answer.json()
    assert [item["record_id"] for item in result["acknowledged"]] == [before.record_id, after.record_id]
    (refused,) = result["rejected"]
    problem = refused["problem"]
    assert (refused["index"], problem["status"]) == (1, status)
    assert problem.get("field") == field
    assert {"type", "title", "detail"} <= problem.keys()
    assert collector.get(f"/api/v1/runs/{run_id}").json()["records"] == 2


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        (b'"a":NaN', "not-json"),
        (b'"a":-Infinity', "not-json"),
        (b'"a":"\xff"', "not-utf-8"),
        (b'"a":1e999', "invalid"),
        (b'"a":' + b"9" * 5000, "invalid"),
    ],
)
def test_values_that_json_lacks_are_refused_without_a_failure(collector: Collector, inside: bytes, kind: str) -> None:
    body = batch([record("odd-1", CASES[0], extras={"mark": 1})]).replace(b'"mark":1', inside)
    answer = collector.post("/api/v1/records", body)
    problem = answer.json()["rejected"][0]["problem"] if answer.status_code == 200 else answer.json()
    assert problem["type"] == f"urn:exaworks:problem:{kind}"
    assert 400 <= problem["status"] < 500


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "not-json"),
        (b"{", 400, "not-json"),
        (b"[]", 422, "invalid"),
        (b'{"records":{}}', 422, "invalid"),
        (b'{"records":[],"more":1}', 422, "invalid"),
        (b'{"records":[' + b"[" * 200_000 + b"]" * 200_000 + b"]}", 400, "too-deep"),
        (b'{"records":' + b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"}", 422, "invalid"),
    ],
)
def test_a_wrong_envelope_is_a_problem(collector: Collector, body: bytes, status: int, kind: str) -> None:
    answer = collector.post("/api/v1/records", body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["type"] == f"urn:exaworks:problem:{kind}"


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b"[" * 33 + b"]" * 33, True),
        (b"[" * 32 + b"]" * 32, False),
        (b'{"a":' * 33 + b"1" + b"}" * 33, True),
        (b'[{"a":' * 16 + b"1" + b"}]" * 16, False),
        (b'[{"a":' * 17 + b"1" + b"}]" * 17, True),
        (b"[" + b",".join([b'{"a":[{}]}'] * 5000) + b"]", False),
        (b'["' + b"[{" * 500 + b'"]', False),
        (b'["' + b'\\"[' * 500 + b'"]', False),
        (b'["\\\\",' + b"[" * 40 + b"]" * 40 + b"]", True),
        (b"[" * 5000, False),
    ],
)
def test_depth_is_measured_without_decoding_and_brackets_in_strings_do_not_count(body: bytes, deep: bool) -> None:
    assert limits.too_deep(body) is deep


def test_the_measured_depth_equals_that_of_a_parser() -> None:
    chance = random.Random(2)

    def nested(depth: int) -> Any:
        if depth == 0:
            return chance.choice(['"', "[{", "}", '\\"', "", 1, None, "\\", '"]"'])
        inner = [nested(chance.randrange(depth)) for _ in range(3)] + [nested(depth - 1)]
        chance.shuffle(inner)
        return (
            inner
            if chance.random() < 0.5
            else {f"{place}{chance.choice(['', '[', chr(34)])}": one for place, one in enumerate(inner)}
        )

    def depth_of(value: Any) -> int:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inside is None else 1 + max(map(depth_of, inside), default=0)

    for depth in (3, 4, 5, 6) * 25:
        value = nested(depth)
        body = json.dumps(value).encode()
        for limit in (depth_of(value) - 1, depth_of(value)):
            assert limits.too_deep(body, limit) is (limit < depth_of(value)), body


def test_a_manifest_that_is_nested_too_deep_is_refused_before_decoding(collector: Collector) -> None:
    body = msgspec.json.encode(msgspec.to_builtins(manifest("deep")) | {"waivers": nested(40)})
    answer = collector.post("/api/v1/runs", body)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:exaworks:problem:too-deep")


def test_a_batch_with_too_many_records_is_refused_completely(collector: Collector) -> None:
    body = b'{"records":[' + b",".join([b"1"] * (limits.MAX_RECORDS + 1)) + b"]}"
    answer = collector.post("/api/v1/records", body)
    assert (answer.status_code, answer.json()["field"]) == (413, "records")


def test_a_body_over_its_limit_is_refused_before_it_is_read(collector: Collector) -> None:
    answer = collector.post("/api/v1/records", b" " * (limits.MAX_BODY + 1))
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:exaworks:problem:too-large")


def test_a_decompression_bomb_is_refused_without_decompressing_all_of_it(tmp_path: Path) -> None:
    squeezed = zlib.compressobj(9, wbits=31)
    zeros = bytes(1024 * 1024)
    bomb = b"".join(squeezed.compress(zeros) for _ in range(512)) + squeezed.flush()
    assert len(bomb) < 1024 * 1024
    served = Collector(tmp_path)
    try:
        answer = served.post("/api/v1/records", bomb, Content_Encoding="gzip")
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:exaworks:problem:too-large")
        status = Path(f"/proc/{served.process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        assert peak * 1024 < limits.MAX_INFLATED + 160 * 1024 * 1024
    finally:
        assert served.stop() == 0


def test_damaged_gzip_and_other_encodings_are_refused(collector: Collector) -> None:
    whole = gzip.compress(batch([record("gzip-2", CASES[0])]))
    for body, encoding, status in ((whole[:-20], "gzip", 400), (b"plain", "gzip", 400), (whole, "br", 415)):
        assert collector.post("/api/v1/records", body, Content_Encoding=encoding).status_code == status
    assert collector.post("/api/v1/records", b"{}", Content_Type="text/plain").status_code == 415
    assert collector.get("/api/v1/runs/gzip-2").status_code == 404


def test_gzip_members_are_joined_and_zero_bytes_between_them_are_ignored() -> None:
    text = random.Random(3).randbytes(100_000)
    pieces = [text[start : start + 500] for start in range(0, len(text), 500)]
    body = b"".join(gzip.compress(piece) + bytes(place % 3) for place, piece in enumerate(pieces))
    assert limits.inflate(bytearray(body), "gzip") == text
    assert limits.inflate(b"".join(map(gzip.compress, pieces)), "gzip", len(text)) == text
    for damaged in (body[:-9], body + b"more", gzip.compress(text)[:5]):
        with pytest.raises(Problem) as refused:
            limits.inflate(damaged, "gzip")
        assert (refused.value.status, refused.value.kind) == (400, "gzip-damaged")
    with pytest.raises(Problem) as refused:
        limits.inflate(body, "gzip", len(text) - 1)
    assert refused.value.status == 413


def test_a_body_of_many_gzip_members_is_refused_after_the_first_thousand(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = gzip.compress(b"") * 150_000
    answer = collector.post("/api/v1/records", body, Content_Encoding="gzip")
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:exaworks:problem:too-many-members")
    fed: list[int] = []
    real = zlib.decompressobj

    def counting(wbits: int) -> Any:
        fed.append(wbits)
        return real(wbits)

    monkeypatch.setattr(limits.zlib, "decompressobj", counting)
    with pytest.raises(Problem):
        limits.inflate(body, "gzip")
    assert len(fed) == limits.MAX_GZIP_MEMBERS


@pytest.mark.parametrize(
    "path",
    [
        "/runs/a%00b",
        "/records/%00",
        "/systems/a/%00",
        "/trends/%00/a",
        "/cells/%00",
        "/badge/a/b/%00.svg",
        "/releases/%00",
        "/static/%00",
        "/api/v1/runs?before=%00",
        "/api/v1/runs?site=a%00",
        "/api/v1/runs?a%00=b",
        "/api/v1/runs/%00/records",
        "/api/v1/cells?system=%00",
        "/compare/%00/a",
        "/?any=%00",
    ],
)
def test_nul_in_a_parameter_is_a_bad_request(collector: Collector, path: str) -> None:
    answer = collector.get(path, token=TOKEN)
    assert answer.status_code == 400
    assert "NUL" in answer.text


@pytest.mark.parametrize(
    "path", ["/api/v1/runs/a%00b/close", "/api/v1/import/junit?system=a%00", "/api/v1/waivers/%00/end"]
)
def test_nul_in_a_parameter_of_a_write_is_a_bad_request(collector: Collector, path: str) -> None:
    assert collector.post(path, b"{}").status_code == 400


@pytest.mark.parametrize("member", ["trigger", "release", "cadence", "stale_after", "owner"])
def test_nul_in_a_text_of_a_manifest_is_not_an_error_of_the_database(collector: Collector, member: str) -> None:
    answer = collector.open(manifest(f"nul-{member}", **{member: "a\0b"}))
    if member in ("trigger", "release"):
        assert (answer.status_code, answer.json()["field"]) == (422, member)
        return
    assert answer.status_code == 201
    for path in (f"/api/v1/runs/nul-{member}", f"/runs/nul-{member}", "/systems/ornl/frontier", "/triage"):
        assert collector.get(path).status_code == 200, path


def test_nul_in_the_texts_of_a_record_and_of_an_old_client_is_not_an_error_of_the_database(
    collector: Collector,
) -> None:
    metric = {"name": "a\0b", "value": 1.0, "unit": "\0", "better": "lower"}
    sent = changed("nul-record", metrics=[metric], evidence__output_tail="\0", scheduler__native_state="\0")
    answer = collector.post("/api/v1/records", raw_batch(sent)).json()
    assert len(answer["acknowledged"]) == 1
    for path in (f"/records/{sent['record_id']}", "/runs/nul-record", "/trends/ornl/frontier"):
        assert collector.get(path).status_code == 200, path
    for sender, key in (("a\0b", "secret"), ("a", "exw_\0_x"), ("a", "\0")):
        message = msgspec.json.encode({"id": sender, "key": key, "data": {"test_name": "t"}})
        assert collector.post("/result", message, token=None).status_code in (401, 422)


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_a_waiver_until_an_absurd_day_breaks_no_page(collector: Collector, day: str) -> None:
    waiver = Waiver(cases="*", reason="r", expires=day, owner="o")
    assert collector.open(manifest(f"waived-{day}", waivers=[waiver])).status_code == 201
    for path in ("/", "/triage", "/systems/ornl/frontier", "/sites/ornl", f"/runs/waived-{day}", "/metrics"):
        assert collector.get(path).status_code == 200, path


@pytest.mark.parametrize("text", ["9" * 400 + "d", "9" * 5000 + "w", f"P{'9' * 500}W", f"PT{'9' * 5000}S", "1e9d"])
def test_an_absurd_duration_in_a_manifest_breaks_no_page(collector: Collector, text: str) -> None:
    run_id = f"absurd-{len(text)}-{text[0]}"
    assert collector.open(manifest(run_id, cadence=text, stale_after=text)).status_code == 201
    for path in (f"/runs/{run_id}", "/systems/ornl/frontier", "/", "/sites/ornl", "/metrics"):
        assert collector.get(path).status_code == 200, path


@pytest.mark.parametrize(
    ("member", "value", "field"),
    [
        ("closed", msgspec.to_builtins(closing(1)), "closed"),
        ("run_id", "a/b", "run_id"),
        ("started", SOME_DAY, "started"),
        ("site", "", "site"),
        ("planned", [msgspec.to_builtins(manifest("x").planned[0])] * 2, "planned[1].case_id"),
        ("selection", {"tier": "huge"}, "selection.tier"),
        ("surprise", 1, "surprise"),
    ],
)
def test_a_wrong_manifest_is_refused_and_its_field_named(
    collector: Collector, member: str, value: Any, field: str
) -> None:
    data = msgspec.to_builtins(manifest("wrong-manifest")) | {member: value}
    answer = collector.post("/api/v1/runs", msgspec.json.encode(data))
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    ("member", "value"),
    [("state", "done"), ("sequence", 0), ("sequence", 2**40), ("ended", SOME_DAY), ("planned", -1)],
)
def test_a_wrong_closing_is_refused_and_its_field_named(collector: Collector, member: str, value: Any) -> None:
    collector.open(manifest("wrong-closing"))
    data = msgspec.to_builtins(closing(1)) | {member: value}
    answer = collector.post("/api/v1/runs/wrong-closing/close", msgspec.json.encode(data))
    assert (answer.status_code, answer.json()["field"]) == (422, member)


def test_an_unknown_path_or_method_gets_a_problem_document(collector: Collector) -> None:
    assert collector.get("/api/v1/nothing").json()["type"] == "urn:exaworks:problem:not-found"
    assert collector.session.delete(collector.url + "/api/v1/runs", timeout=10).status_code == 405
    assert collector.get("/api/v1/runs?limit=-1").json()["field"] == "limit"
    assert collector.get("/api/v1/records/" + "g" * 64).status_code == 404


def test_a_decoded_record_drops_the_parts_that_only_its_body_contains() -> None:
    sent = record("light-1", CASES[2], extras={"much": "x" * 1000})
    (decoded,) = read_batch(batch([sent]), now_ms())
    assert isinstance(decoded, DecodedRecord)
    assert decoded.body == encode(sent)
    assert (decoded.record.evidence.output_tail, decoded.record.extras) == (None, {})
    assert [each.name for each in decoded.record.stack.components] == ["psij"]


def test_a_text_that_is_too_long_for_a_name_is_not_remembered() -> None:
    before = matches_name.cache_info().currsize
    assert not is_name("x" * 129)
    assert is_name("x" * 128)
    assert matches_name.cache_info().currsize <= before + 1
