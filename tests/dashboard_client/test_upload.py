from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from email.utils import format_datetime
from pathlib import Path

import pytest

from dashboard_client import wire
from dashboard_client.errors import RecordError, UploadError
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Outcome, digest, encode
from dashboard_client.upload import push
from dashboard_client.wire import Policy, Refused
from tests.dashboard_client.loopback import TOKEN, FakeCollector, Fault, problem, serving
from tests.dashboard_client.samples import CASES, RUN_ID, closing, environ, finished_run, manifest, record

HTTP_503 = Fault(status=503)


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    with serving(FakeCollector()) as served:
        yield served


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return finished_run(tmp_path / "runs")


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def policy(waits: list[float]) -> Policy:
    return Policy(sleep=waits.append, read_timeout=10)


def many(runs_dir: Path, number: int) -> RunFolder:
    cases = tuple(f"control/hello:{index}@local" for index in range(number))
    return finished_run(runs_dir, dict.fromkeys(cases, Outcome.PASS))


def test_a_push_sends_manifest_records_and_closing_in_this_order(collector: FakeCollector, run: RunFolder) -> None:
    progress: list[tuple[int, int]] = []
    report = push(run, collector.url + "/", TOKEN, progress=lambda done, total: progress.append((done, total)))
    assert collector.paths() == ["/api/v1/runs", "/api/v1/records", f"/api/v1/runs/{RUN_ID}/close"]
    assert (report.total, report.sent, report.already, report.closed, report.exit_code) == (3, 3, 0, 1, 0)
    assert collector.records == {stored.record_id: digest(stored) for stored in run.records()}
    assert progress == [(0, 3), (3, 3)]


def test_the_collector_receives_the_bytes_of_the_outbox(collector: FakeCollector, run: RunFolder) -> None:
    push(run, collector.url, TOKEN)
    assert b"".join(line + b"\n" for line in collector.lines) == (run.path / "records.jsonl").read_bytes()
    assert collector.requests[0].body == encode(manifest())
    assert collector.requests[2].body == encode(closing())
    assert all(request.headers["Content-Encoding"] == "gzip" for request in collector.requests)


def test_each_request_has_the_time_of_this_machine_also_one_that_is_repeated(
    collector: FakeCollector, run: RunFolder, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter(range(1_790_000_000, 1_790_000_100))

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.fromtimestamp(next(moments), tz)

    monkeypatch.setattr(wire, "datetime", Clock)
    collector.faults = [Fault(status=503)]
    push(run, collector.url, TOKEN, policy=policy)
    sent = [request.headers["X-ExaWorks-Now"] for request in collector.requests]
    assert sent == [f"2026-09-21T14:13:{20 + number}.000Z" for number in range(4)]


def test_the_manifest_of_a_closed_run_states_that_its_closing_follows(collector: FakeCollector, tmp_path: Path) -> None:
    open_run = RunFolder.create(tmp_path, manifest())
    push(open_run, collector.url, TOKEN)
    open_run.close(closing())
    push(open_run, collector.url, TOKEN)
    stated = [request.headers.get("X-ExaWorks-Run") for request in collector.requests]
    assert stated == [None, "ended", None]


def test_a_second_push_sends_no_record_again(collector: FakeCollector, run: RunFolder) -> None:
    push(run, collector.url, TOKEN)
    report = push(run, collector.url, TOKEN)
    assert collector.paths()[3:] == ["/api/v1/runs"]
    assert (report.sent, report.already, report.closed) == (0, 3, 1)


def test_a_running_run_is_pushed_in_parts_and_closed_with_the_last_one(
    collector: FakeCollector, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path, manifest())
    run.append(record())
    first = push(run, collector.url, TOKEN)
    assert (first.sent, first.closed) == (1, None)
    run.append(record(CASES[1]))
    run.close(closing())
    last = push(run, collector.url, TOKEN)
    assert (last.sent, last.already, last.closed) == (1, 1, 1)
    run.close(closing(sequence=2))
    assert push(run, collector.url, TOKEN).closed == 2
    assert sorted(collector.closings) == [1, 2]


def test_batches_obey_the_limits_of_records_and_bytes(collector: FakeCollector, tmp_path: Path) -> None:
    run = many(tmp_path, 25)
    push(run, collector.url, TOKEN, policy=Policy(batch_records=10))
    sizes = [len(json.loads(each.body)["records"]) for each in collector.requests if each.path == "/api/v1/records"]
    assert sizes == [10, 10, 5]
    collector.requests.clear()
    collector.runs.clear()
    push(run, collector.url, TOKEN, policy=Policy(batch_bytes=5000))
    bodies = [each.body for each in collector.requests if each.path == "/api/v1/records"]
    assert len(bodies) > 3
    assert all(len(body) <= 5000 + len(b'{"records":[]}') for body in bodies)
    assert collector.stored_times == 25


def test_after_503_the_request_is_repeated_with_growing_waits_and_jitter(
    collector: FakeCollector, run: RunFolder, policy: Policy, waits: list[float]
) -> None:
    collector.faults = [None, HTTP_503, HTTP_503]
    report = push(run, collector.url, TOKEN, policy=policy)
    assert report.sent == 3
    assert collector.paths().count("/api/v1/records") == 3
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1


def test_a_batch_whose_acknowledgement_was_lost_is_sent_again_and_counts_once(
    collector: FakeCollector, run: RunFolder, policy: Policy
) -> None:
    collector.faults = [None, Fault(store=True, cut=0)]
    report = push(run, collector.url, TOKEN, policy=policy)
    assert collector.paths().count("/api/v1/records") == 2
    assert len(collector.lines) == 6
    assert (collector.stored_times, len(collector.records), report.sent) == (3, 3, 3)


@pytest.mark.parametrize("cut", [1, 60])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_request_is_repeated_after_the_connection_broke_in_the_middle_of_the_answer(
    collector: FakeCollector, run: RunFolder, policy: Policy, position: int, cut: int
) -> None:
    collector.faults = [None] * position + [Fault(store=True, cut=cut)]
    report = push(run, collector.url, TOKEN, policy=policy)
    assert (report.sent, report.closed, collector.stored_times) == (3, 1, 3)
    assert len(collector.requests) == 4


def test_a_push_to_an_absent_collector_gives_up_after_a_limited_number_of_attempts(
    run: RunFolder, policy: Policy, waits: list[float]
) -> None:
    with serving(FakeCollector()) as stopped:
        url = stopped.url
    with pytest.raises(UploadError, match=r"gave up after 6 attempts.*push again") as caught:
        push(run, url, TOKEN, policy=policy)
    assert caught.value.exit_code == 1
    assert len(waits) == 5
    assert all(wait <= 30 for wait in waits)


def test_a_push_to_a_hanging_collector_gives_up_after_the_read_timeout(run: RunFolder) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UploadError, match="ReadTimeout"):
            push(run, url, TOKEN, policy=Policy(attempts=2, read_timeout=0.2, sleep=lambda wait: None))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 422])
def test_a_request_is_not_repeated_after_a_client_error(
    collector: FakeCollector, run: RunFolder, policy: Policy, waits: list[float], status: int
) -> None:
    body = json.dumps(problem(status, "the field is odd") | {"field": "planned[2].tier"}).encode()
    collector.faults = [Fault(status=status, body=body)]
    with pytest.raises(
        Refused, match=rf"refused with {status}: Refused: the field is odd \(field planned\[2\]\.tier\)"
    ):
        push(run, collector.url, TOKEN, policy=policy)
    assert len(collector.requests) == 1
    assert waits == []


def test_the_error_for_a_wrong_token_does_not_show_it(collector: FakeCollector, run: RunFolder) -> None:
    with pytest.raises(Refused, match="EXAWORKS_COLLECTOR_TOKEN") as caught:
        push(run, collector.url, "another-token-99", policy=Policy())
    assert "another-token-99" not in caught.value.message


@pytest.mark.parametrize(("retry_after", "waited"), [("7", 7), ("0", 0), ("86400", 120)])
def test_a_wait_that_the_collector_asks_for_is_obeyed_up_to_a_limit(
    collector: FakeCollector, run: RunFolder, policy: Policy, waits: list[float], retry_after: str, waited: float
) -> None:
    collector.faults = [Fault(status=429, headers={"Retry-After": retry_after})]
    push(run, collector.url, TOKEN, policy=policy)
    assert waits == [waited]


def test_a_wait_given_as_a_date_is_obeyed_and_an_invalid_one_is_not(
    collector: FakeCollector, run: RunFolder, policy: Policy, waits: list[float]
) -> None:
    soon = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=50), usegmt=True)
    collector.faults = [Fault(status=503, headers={"Retry-After": value}) for value in (soon, "later", "²")]
    push(run, collector.url, TOKEN, policy=policy)
    assert 45 < waits[0] <= 50
    assert waits[1] <= 1
    assert waits[2] <= 2


def test_the_error_for_a_different_digest_names_both_digests(collector: FakeCollector, run: RunFolder) -> None:
    first = run.records()[0]
    entries = [{"record_id": stored.record_id, "digest": "0" * 64} for stored in run.records()]
    collector.faults = [None, Fault(status=200, body=json.dumps({"acknowledged": entries, "rejected": []}).encode())]
    with pytest.raises(UploadError, match=f"our digest is {digest(first)}, the collector's is {'0' * 64}"):
        push(run, collector.url, TOKEN)
    assert push(run, collector.url, TOKEN).sent == 3


def test_the_error_for_a_run_stored_with_another_manifest_names_both_digests(
    collector: FakeCollector, run: RunFolder, policy: Policy, waits: list[float]
) -> None:
    collector.runs[RUN_ID] = "1" * 64
    with pytest.raises(UploadError, match=f"our digest is {digest(manifest())}, the collector's is {'1' * 64}"):
        push(run, collector.url, TOKEN, policy=policy)
    assert waits == []


def test_a_rejected_record_is_reported_and_sent_again_by_the_next_push_and_the_others_count(
    collector: FakeCollector, run: RunFolder
) -> None:
    collector.reject = {CASES[1]}
    report = push(run, collector.url, TOKEN)
    assert (report.sent, report.exit_code, report.closed) == (2, 1, 1)
    assert [(each.case_id, each.reason) for each in report.rejected] == [(CASES[1], "Refused: rejected by the test")]
    collector.reject = set()
    again = push(run, collector.url, TOKEN)
    assert (again.sent, again.already, again.exit_code) == (1, 2, 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>Log in to the network</html>",
        b'{"acknowledged":[{"record_id":"never-sent","digest":"0"}]}',
        b'{"acknowledged":[],"rejected":[]}',
        b'{"acknowledged":[],"rejected":[{"index":77,"problem":{}}]}',
        b"",
        b"\xff",
    ],
)
def test_an_invalid_answer_is_never_taken_for_an_acknowledgement(
    collector: FakeCollector, run: RunFolder, answer: bytes
) -> None:
    collector.faults = [None, Fault(status=200, body=answer)]
    with pytest.raises(UploadError):
        push(run, collector.url, TOKEN)
    assert push(run, collector.url, TOKEN).sent == 3


def test_a_batch_that_is_refused_as_too_large_is_halved(collector: FakeCollector, tmp_path: Path) -> None:
    run = many(tmp_path, 9)
    collector.limit = 4 * max(len(line) for line in run.reading().lines)
    report = push(run, collector.url, TOKEN)
    assert (report.sent, report.rejected, collector.stored_times) == (9, [], 9)


def test_a_record_that_is_too_large_is_rejected_and_the_others_are_sent(
    collector: FakeCollector, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path, manifest())
    run.append(record())
    run.append(record(CASES[1], extras={"much": "x" * 20000}))
    run.append(record(CASES[2]))
    collector.limit = 10000
    report = push(run, collector.url, TOKEN)
    assert report.sent == 2
    assert [each.case_id for each in report.rejected] == [CASES[1]]


def test_records_acknowledged_before_an_interruption_are_not_sent_again(
    collector: FakeCollector, tmp_path: Path, policy: Policy
) -> None:
    run = many(tmp_path, 9)
    three = Policy(batch_records=3, attempts=2, sleep=policy.sleep)
    collector.faults = [None, None, HTTP_503, HTTP_503]
    with pytest.raises(UploadError, match="gave up"):
        push(run, collector.url, TOKEN, policy=three)
    report = push(run, collector.url, TOKEN, policy=three)
    assert (report.already, report.sent) == (3, 6)
    assert len(collector.lines) == 9


PUSHER = """
import os, sys
from pathlib import Path
from dashboard_client.runs import RunFolder
from dashboard_client.upload import push
from dashboard_client.wire import Policy
def die(done, total):
    if done >= 4:
        os.kill(os.getpid(), 9)
push(RunFolder(Path(sys.argv[1])), sys.argv[2], sys.argv[3], progress=die, policy=Policy(batch_records=2))
"""


def test_a_push_continues_where_a_killed_one_stopped(collector: FakeCollector, tmp_path: Path) -> None:
    run = many(tmp_path, 10)
    killed = subprocess.run(
        [sys.executable, "-c", PUSHER, str(run.path), collector.url, TOKEN],
        env=environ(),
        check=False,
    )
    assert killed.returncode == -9
    report = push(run, collector.url, TOKEN)
    assert (report.already, report.sent, collector.stored_times) == (4, 6, 10)


def test_the_acknowledgements_of_each_collector_are_stored_separately(collector: FakeCollector, run: RunFolder) -> None:
    with serving(FakeCollector()) as other:
        push(run, collector.url, TOKEN)
        assert push(run, other.url, TOKEN).sent == 3
        assert push(run, collector.url, TOKEN).already == 3
        assert push(run, other.url, TOKEN).already == 3


def test_everything_is_sent_again_to_a_collector_that_lost_it(collector: FakeCollector, run: RunFolder) -> None:
    push(run, collector.url, TOKEN)
    collector.runs.clear()
    collector.records.clear()
    collector.closings.clear()
    report = push(run, collector.url, TOKEN)
    assert (report.sent, len(collector.records), len(collector.closings)) == (3, 3, 1)


@pytest.mark.parametrize("damage", [b"", b"{", b'{"http://x":7}'])
def test_with_damaged_acknowledgements_everything_is_sent_again(
    collector: FakeCollector, run: RunFolder, damage: bytes
) -> None:
    push(run, collector.url, TOKEN)
    (run.private / "pushed.json").write_bytes(damage)
    assert push(run, collector.url, TOKEN).sent == 3
    assert collector.stored_times == 3


def test_a_torn_last_line_is_not_sent_and_is_reported(collector: FakeCollector, run: RunFolder) -> None:
    with (run.path / "records.jsonl").open("ab") as stream:
        stream.write(b'{"case":')
    report = push(run, collector.url, TOKEN)
    assert (report.sent, report.torn) == (3, True)


def test_a_changed_line_is_not_sent(collector: FakeCollector, run: RunFolder) -> None:
    spool = run.path / "records.jsonl"
    spool.write_bytes(spool.read_bytes().replace(b'{"case":', b'{ "case":', 1))
    with pytest.raises(RecordError, match=r"line 1: the record of \S+ was changed after it was written"):
        push(run, collector.url, TOKEN)
    assert collector.requests == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_error_and_the_token_is_not_sent_to_its_target(
    collector: FakeCollector, run: RunFolder, status: int
) -> None:
    with serving(FakeCollector()) as elsewhere:
        collector.faults = [Fault(status=status, headers={"Location": f"{elsewhere.url}/api/v1/runs"})]
        with pytest.raises(UploadError, match=f"redirects to {elsewhere.url}"):
            push(run, collector.url, TOKEN)
        assert elsewhere.requests == []


def test_a_failed_tls_connection_is_not_tried_again(
    collector: FakeCollector, run: RunFolder, policy: Policy, waits: list[float]
) -> None:
    with pytest.raises(UploadError, match="REQUESTS_CA_BUNDLE"):
        push(run, collector.url.replace("http:", "https:"), TOKEN, policy=policy)
    assert waits == []
    assert collector.requests == []


@pytest.mark.parametrize("url", ["http://status.example.org", "http://10.0.0.1:8000", "http://localhost.example.org"])
def test_the_token_is_not_sent_unencrypted_to_another_machine(run: RunFolder, url: str) -> None:
    with pytest.raises(UploadError, match="--insecure-http"):
        push(run, url, TOKEN)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("status.example.org", "must begin with https://"),
        ("ftp://status.example.org", "must begin with https://"),
        ("https://", "name a host"),
        ("https://user:pa55word@status.example.org", "remove user and password"),
        ("https://status.example.org/?a=1", "must not contain"),
        ("https://[::1", "is not a valid URL"),
        ("https://host:notaport", "is not a valid URL"),
    ],
)
def test_an_invalid_address_is_refused_before_anything_is_sent(run: RunFolder, url: str, message: str) -> None:
    with pytest.raises(UploadError, match=message) as caught:
        push(run, url, TOKEN)
    assert "pa55word" not in caught.value.message


@pytest.mark.parametrize("token", ["", "two words", "line\nend", "tökén"])
def test_the_error_for_an_invalid_token_does_not_show_it(run: RunFolder, token: str) -> None:
    with pytest.raises(UploadError, match="token is empty or contains characters that no token has") as caught:
        push(run, "https://status.example.org", token)
    assert not token or token not in caught.value.message


def test_a_proxy_from_the_environment_is_not_used_for_the_loopback_interface(
    collector: FakeCollector, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(FakeCollector()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert push(run, collector.url, TOKEN).sent == 3
        assert proxy.requests == []


def test_a_proxy_from_the_environment_is_used_for_other_machines(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, policy: Policy
) -> None:
    with serving(FakeCollector()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        proxy.faults = [Fault(status=400)]
        with pytest.raises(Refused):
            push(run, "http://status.example.org", TOKEN, policy=Policy(insecure_http=True, sleep=policy.sleep))
        assert proxy.paths() == ["http://status.example.org/api/v1/runs"]


def test_a_netrc_entry_does_not_replace_the_token(
    collector: FakeCollector, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login bob password from-netrc\n")
    monkeypatch.setenv("NETRC", str(netrc))
    push(run, collector.url, TOKEN)
    assert {each.headers["Authorization"] for each in collector.requests} == {f"Bearer {TOKEN}"}


def test_the_token_is_in_no_log_message_or_file(
    collector: FakeCollector, run: RunFolder, policy: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    echo = json.dumps(problem(500, f"bad header Bearer {TOKEN}")).encode()
    with caplog.at_level(logging.DEBUG):
        collector.faults = [HTTP_503, Fault(cut=0), None, Fault(status=500, body=echo)]
        push(run, collector.url, TOKEN, policy=policy)
        collector.faults = [Fault(status=500, body=echo)] * 6
        with pytest.raises(UploadError) as caught:
            push(run, collector.url, TOKEN, policy=policy)
    assert "failed, next one in" in caplog.text
    assert TOKEN not in caplog.text + caught.value.message
    assert all(TOKEN.encode() not in path.read_bytes() for path in run.path.rglob("*") if path.is_file())
