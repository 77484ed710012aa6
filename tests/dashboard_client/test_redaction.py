from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dashboard_client.errors import RecordError
from dashboard_client.leaves import MANIFEST, RECORD, Kind, enumerate_leaves
from dashboard_client.masking import MARKER, SHORTEST, Masker
from dashboard_client.redact import WITHHELD, redact, redact_manifest
from dashboard_client.schema import Evidence, Manifest, Outcome, Record, canonical, encode
from tests.dashboard_client.samples import CASES, full_manifest, full_record, manifest, record

HOME, USER = "/home/alice", "alice"
SECRET = "hunter2-correct-horse"


def plain(secrets: tuple[str, ...] = (SECRET,)) -> Masker:
    return Masker(secrets, HOME, USER)


def full(made: Record, *secrets: str) -> Record:
    return redact(made, "full", secrets=secrets, home=HOME, user=USER)


def minimal(made: Record, *secrets: str) -> Record:
    return redact(made, "minimal", secrets=secrets, home=HOME, user=USER)


def strings(tree: Any) -> Iterator[str]:
    """Yield every string of a JSON tree, keys too."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from strings(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from strings(value)


def leaves_of(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of every leaf of a struct, lists of structs flattened."""
    for field in msgspec.structs.fields(type(tree)):
        value, path = getattr(tree, field.name), prefix + field.name
        if isinstance(value, msgspec.Struct):
            yield from leaves_of(value, f"{path}.")
        elif isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
            for item in value:
                yield from leaves_of(item, f"{path}.")
        else:
            yield path, value


@pytest.mark.parametrize(("model", "table"), [(Record, RECORD), (Manifest, MANIFEST)])
def test_every_leaf_of_the_schema_is_either_kept_or_emptied_on_purpose(
    model: type[msgspec.Struct], table: dict[str, Any]
) -> None:
    assert sorted(table) == sorted(enumerate_leaves(model)), (
        "a field was added, renamed or taken away: decide in dashboard_client/leaves.py what redaction does with it"
    )


def test_the_samples_fill_every_leaf_so_that_these_tests_see_all_of_them() -> None:
    for sample, table in ((full_record(), RECORD), (full_manifest(), MANIFEST)):
        filled = {path for path, value in leaves_of(sample) if value not in (None, [], {})}
        assert filled == set(table)


def test_the_full_tier_keeps_a_record_without_secrets_as_it_is() -> None:
    made = full_record("nothing to hide")
    assert full(made) == made
    assert redact_manifest(full_manifest(), "full", secrets=[], home=HOME, user=USER) == full_manifest()


def test_a_secret_is_masked_in_every_string_at_every_depth() -> None:
    made = full(full_record(f"before {SECRET} after"), SECRET)
    assert SECRET not in encode(made).decode()
    masked = [path for path, kind in RECORD.items() if kind.kind in (Kind.NAME, Kind.TEXT, Kind.TAIL)]
    seen = dict(leaves_of(made))
    assert all(MARKER in str(seen[path]) for path in masked)


@pytest.mark.parametrize("tier", ["full", "minimal"])
def test_a_redacted_record_fits_the_schema_keeps_its_identity_and_names_its_tier(tier: str) -> None:
    made = redact(full_record(f"{SECRET} {HOME}"), tier, secrets=[SECRET], home=HOME, user=USER)
    assert canonical(made) == made
    assert made.evidence.redaction == tier
    assert made.record_id == full_record().record_id
    assert redact_manifest(full_manifest(), tier, secrets=[], home=HOME, user=USER).redaction == tier


def test_the_minimal_tier_keeps_its_list_and_nothing_else() -> None:
    text = "4e9d-private-words"
    made = minimal(full_record(text))
    for path, value in leaves_of(made):
        if path not in RECORD:
            assert value in (None, []), path  # a whole struct that was emptied
        elif RECORD[path].minimal:
            expected = dict(leaves_of(full_record(text)))[path] if path != "evidence.redaction" else "minimal"
            assert value == expected, path
        else:
            assert value in (None, [], {}, WITHHELD), path
    assert made.verdict.cause is not None
    assert made.verdict.cause.evidence == WITHHELD
    assert made.scheduler.outer is not None
    assert made.scheduler.outer.emulated is True
    assert made.stack.components[0].version == text
    assert made.stack.components[0].location is None
    assert (made.stack.deployment, made.scheduler.launcher, made.extras, made.case.params) == (None, None, {}, {})


def test_the_minimal_tier_masks_secrets_in_what_it_keeps() -> None:
    assert SECRET not in encode(minimal(full_record(SECRET), SECRET)).decode()


def test_a_minimal_manifest_keeps_the_plan_and_what_the_collector_judges_by() -> None:
    text = "4e9d-private-words"
    made = redact_manifest(full_manifest(text), "minimal", secrets=[], home=HOME, user=USER)
    assert made.planned == full_manifest(text).planned
    assert made.selection.partial is True
    assert (made.cadence, made.stale_after, made.closed) == (text, text, full_manifest().closed)
    assert (made.owner, made.deployments, made.selection.cases, made.harness.remote) == (None, [], [], None)
    assert [(waiver.cases, waiver.reason, waiver.owner) for waiver in made.waivers] == [(text, WITHHELD, None)]


def test_a_secret_in_a_case_id_is_refused_without_being_told() -> None:
    case = f"parsl/hello:key={SECRET}@local"
    with pytest.raises(RecordError, match=r"planned\.case_id") as caught:
        redact_manifest(manifest((case,)), "full", secrets=[SECRET], home=HOME, user=USER)
    assert SECRET not in caught.value.message
    with pytest.raises(RecordError, match="case_id") as caught:
        full(record(case), SECRET)
    assert SECRET not in caught.value.message


def test_an_unknown_tier_is_refused() -> None:
    with pytest.raises(RecordError, match=r"no such tier: 'none'"):
        redact(record(), "none", secrets=[], home=HOME, user=USER)


def test_the_home_folder_and_the_user_are_masked_in_text_and_a_name_is_left_alone() -> None:
    made = record(
        outcome=Outcome.FAIL,
        evidence=Evidence(
            output_tail="/home/alice/x /home/alice. -L/home/alice/lib /home/alicent/y /scratch/alice/z malice",
            reproduce="cd '/home/alice' && run",
        ),
    )
    kept = full(made).evidence
    assert kept.output_tail == "~/x ~. -L~/lib /home/alicent/y /scratch/$USER/z malice"
    assert kept.reproduce == "cd '~' && run"
    named_parsl = redact(record(CASES[2]), "full", secrets=[], home="/home/parsl", user="parsl")
    assert named_parsl.case.component == "parsl"
    assert named_parsl.stack.components[0].name == "parsl"


@pytest.mark.parametrize("user", ["root", "", "x"])
def test_a_user_whose_name_says_nothing_is_no_reason_to_mask(user: str) -> None:
    assert Masker([], "/", user).text("/root is x, root of all") == "/root is x, root of all"


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAA\n"
KEY += "AAAAAAAAMwAAAAtzc2g\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
        ("curl -H 'authorization: token 0123456789abcdef'", "0123456789abcdef"),
        ("Authorization: Basic YWxpY2U6c2VjcmV0", "YWxpY2U6c2VjcmV0"),
        ('{"Authorization": "Bearer abcdef0123456789"}', "abcdef0123456789"),
        (f"got {JWT}!", JWT.split(".")[1]),
        ("remote: glpat-aB3_dE6fG9hJ2kL5mN8p is", "aB3_dE6fG9hJ2kL5mN8p"),
        ("runner glrt-t1_aB3dE6fG9hJ2kL5mN8p", "aB3dE6fG9hJ2kL5mN8p"),
        ("ghp_" + "a1B2" * 9, "a1B2a1B2"),
        ("key AKIAIOSFODNN7EXAMPLE found", "AKIAIOSFODNN7EXAMPLE"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI/K7MDENG"),
        ("connect password=s3cr3t!pw host=db", "s3cr3t!pw"),
        ('password: "two words"', "two words"),
        ("PGPASSWORD='quoted value' psql", "quoted value"),
        ('{\\"password\\": \\"escaped-value\\"}', "escaped-value"),
        ("?api_key=zzz999&x=1", "zzz999"),
        ("tool --password hunter22 --verbose", "hunter22"),
        ("tool --db-token=abc987", "abc987"),
        ("postgresql://bob:pa55word@db.example.org/x", "pa55word"),
        ("https://oauth2:tok%40en@git.example.org/a.git", "tok%40en"),
        ("https://us:p@ss@host/x", "p@ss"),
        ("https://justatoken123@git.example.org", "justatoken123"),
        (f"key:\n{KEY}\ndone", "b3BlbnNzaC1rZXktdjEAAAA"),
        (KEY[:60], "b3BlbnNzaC1rZX"),
        (KEY[45:], "AAAAAAAAMwAAAAtzc2g"),
        (json.dumps(KEY), "AAAAAAAAMwAAAAtzc2g"),
        ("MUNGE:AwQFAAAcbz1f6OXDhm0aGb5Y:", "AwQFAAAcbz1f6OXDhm0aGb5Y"),
    ],
)
def test_a_secret_of_a_usual_form_is_found_without_being_known(text: str, secret: str) -> None:
    masked = Masker([], HOME, USER).text(text)
    assert secret not in masked
    assert MARKER in masked


@pytest.mark.parametrize(
    "text",
    [
        "basic functionality of the bearer is fine",
        "https://git.example.org/group/project@v1.2",
        "PWD=/scratch/run: 3 tasks, mail bob@example.org",
        "sha256 " + "ab12" * 16,
        "Traceback (most recent call last): KeyError: 'reason'",
    ],
)
def test_ordinary_evidence_is_left_alone(text: str) -> None:
    assert Masker([SECRET], HOME, USER).text(text) == text


def test_around_a_masked_secret_the_evidence_stays_readable() -> None:
    masked = Masker([], HOME, USER).text("connect password=abc123 host=db; https://u:p@db/x; Bearer 0123456789abcdef.")
    assert masked == f"connect password={MARKER} host=db; https://{MARKER}@db/x; Bearer {MARKER}"


@pytest.mark.parametrize(
    "write", [quote, json.dumps, lambda text: base64.b64encode(text.encode()).decode().rstrip("=")]
)
def test_a_known_secret_is_found_in_other_spellings(write: Any) -> None:
    secret = 'pa"ss/w örd&<x>'
    assert write(secret).strip('"') not in plain((secret,)).text(f"a {write(secret)} b")


def test_a_secret_cut_by_the_edge_of_a_tail_is_masked_there() -> None:
    tail = f"{SECRET[5:]} ran, then {SECRET[:12]}"
    made = full(record(evidence=Evidence(output_tail=tail)), SECRET)
    assert made.evidence.output_tail == f"{MARKER} ran, then {MARKER}"


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    assert "second-line-x" not in plain(("first-line-x\nsecond-line-x\n",)).text("only second-line-x here")


def test_what_stands_under_a_confidential_key_is_masked_and_numbers_are_not() -> None:
    made = full(record(extras={"env": {"DB_PASSWORD": "p", "tokens": 512, "inner": {"api_key": ["k1", {"x": "k2"}]}}}))
    assert made.extras == {
        "env": {"DB_PASSWORD": MARKER, "tokens": 512, "inner": {"api_key": [MARKER, {MARKER: MARKER}]}}
    }


def test_a_secret_that_is_a_number_or_bytes_or_an_object_is_masked_too() -> None:
    made = full(record(extras={"a": 31415926, "b": b"x 31415926", "c": ("31415926", {"31415926"})}), "31415926")
    assert "31415926" not in json.dumps(made.extras)
    assert canonical(made) == made


def test_what_json_cannot_carry_becomes_what_it_can() -> None:
    deep: Any = "bottom"
    for _ in range(500):
        deep = [deep]
    made = full(record(extras={"nan": float("nan"), "deep": deep, "half": "a\ud800b", 5: "five"}))
    assert canonical(made) == made
    assert made.extras["nan"] is None
    assert made.extras["half"] == "a?b"
    assert made.extras["5"] == "five"


def test_two_keys_that_mask_to_the_same_name_are_both_kept() -> None:
    made = full(record(extras={SECRET: 1, f"{SECRET}{SECRET}": 2}), SECRET)
    assert sorted(made.extras.values()) == [1, 2]


def test_masking_a_long_tail_takes_time_in_proportion_to_its_length() -> None:
    masker = plain()
    for filler in ("a", "a:", "-----BEGIN ", "password", "https://", "eyJ", "\\", '"', "-", 'token="'):
        masker.text(filler * (400_000 // len(filler)))  # a quadratic form would take minutes here


SECRETS = st.text(alphabet=st.characters(codec="utf-8"), min_size=SHORTEST, max_size=24)
WORDS = st.text(max_size=20)


@settings(max_examples=200, deadline=None)
@given(
    secrets=st.lists(SECRETS, min_size=1, max_size=3),
    before=WORDS,
    after=WORDS,
    tree=st.recursive(
        st.text(max_size=8), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
    ),
    tier=st.sampled_from(["full", "minimal"]),
)
def test_no_planted_secret_survives(secrets: list[str], before: str, after: str, tree: Any, tier: str) -> None:
    usable = [secret.strip() for secret in secrets]
    assume(all(len(secret) >= SHORTEST for secret in usable))
    known = encode(record()).decode() + MARKER + WITHHELD + "~$USER"
    assume(not any(secret in known or secret in json.dumps(RECORD_NAMES) for secret in usable))
    made = full_record(f"{before}{usable[0]}{after}{''.join(usable)}")
    made = msgspec.structs.replace(made, extras=made.extras | {"tree": [tree, {secret: [secret] for secret in usable}]})
    out = msgspec.json.decode(encode(redact(made, tier, secrets=secrets, home=HOME, user=USER)))
    for text in strings(out):
        assert not any(secret in text for secret in usable)


RECORD_NAMES = [*sorted({part for path in RECORD for part in path.split(".")}), "tree", "number", "class", "deep"]
