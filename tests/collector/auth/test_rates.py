"""A sender with too many requests has to wait; other senders do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.auth.rates import MAX_NAMES, Buckets, Guesses
from collector.errors import Problem
from tests.collector.process import Collector, tool
from tests.collector.samples import manifest


def test_a_bucket_empties_and_fills_again_at_its_rate() -> None:
    now = [0.0]
    buckets = Buckets(2.0, 3, clock=lambda: now[0])
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(Problem) as refused:
        buckets.take("a")
    assert (refused.value.status, refused.value.more) == (429, {"retry_after": 1})
    buckets.take("b")
    now[0] = 0.5
    buckets.take("a")
    with pytest.raises(Problem):
        buckets.take("a")


def test_the_number_of_buckets_is_limited() -> None:
    buckets = Buckets(1.0, 1, clock=lambda: 0.0)
    for number in range(MAX_NAMES + 10):
        buckets.take(str(number))
    assert len(buckets._levels) == MAX_NAMES


def test_a_token_with_too_many_requests_has_to_wait_and_its_body_is_not_read(tmp_path: Path) -> None:
    config = tmp_path / "collector.yaml"
    config.write_text("rates: {per_second: 0.01, burst: 2}\n")
    served = Collector(tmp_path, "--config", str(config))
    assert [served.open(manifest(f"often-{number}")).status_code for number in range(2)] == [201, 201]
    answer = served.post("/api/v1/runs", b"no json")
    assert (answer.status_code, answer.json()["type"]) == (429, "urn:exaworks:problem:too-often")
    assert int(answer.headers["retry-after"]) > 10
    assert served.get("/healthz").status_code == 200
    assert served.stop() == 0


def test_guessing_tokens_is_slowed_down(tmp_path: Path) -> None:
    config = tmp_path / "collector.yaml"
    config.write_text("rates: {guesses_per_second: 0.001, guesses: 3}\n")
    served = Collector(tmp_path, "--config", str(config))
    codes = [served.get("/api/v1/runs", token=f"exw_{number:08x}_no").status_code for number in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    assert served.open(manifest("fine")).status_code == 201
    assert served.stop() == 0


def test_a_valid_token_is_accepted_whatever_others_send_from_the_same_address(tmp_path: Path) -> None:
    config = tmp_path / "collector.yaml"
    config.write_text("rates: {guesses_per_second: 0.001, guesses: 3}\n")
    served = Collector(tmp_path, "--config", str(config))
    valid = tool(tmp_path, "token", "new", "ornl").stdout.strip()
    identity = valid.split("_")[1]
    old_client = b'{"id":"a","key":"%s","data":{"run_id":"1","branch":"main","test_name":"t"}}'
    for _ in range(5):
        served.get("/api/v1/runs", token=f"exw_{identity}_wrong")
    assert served.get("/api/v1/runs", token=f"exw_{identity}_wrong").status_code == 429
    assert served.post("/result", old_client % f"exw_{identity}_wrong".encode(), token=None).status_code == 429
    assert served.open(manifest("valid"), token=valid).status_code == 201
    assert served.post("/result", old_client % valid.encode(), token=None).status_code == 200
    assert served.stop() == 0


def test_one_expired_token_does_not_use_up_the_count_of_its_neighbours() -> None:
    guesses = Guesses(0.001, 2, clock=lambda: 0.0)
    for _ in range(2):
        guesses.count("proxy", "exw_aaaaaaaa_expired")
    with pytest.raises(Problem, match="Valid tokens are accepted"):
        guesses.count("proxy", "exw_aaaaaaaa_expired")
    guesses.count("proxy", "exw_bbbbbbbb_expired")
    with pytest.raises(Problem) as refused:
        guesses.count("proxy", "exw_cccccccc_third")
    assert refused.value.status == 429
    guesses.count("proxy", "exw_bbbbbbbb_expired")
    guesses.count("another", "exw_cccccccc_third")
