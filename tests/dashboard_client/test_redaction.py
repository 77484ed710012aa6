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
from dashboard_client.masking import MARKER, MIN_SECRET, Masker
from dashboard_client.redact import WITHHELD, redact, redact_manifest
from dashboard_client.schema import Evidence, Manifest, Outcome, Record, canonical, encode
from tests.dashboard_client.samples import CASES, closing, full_manifest, full_record, manifest, record

HOME, USER = "/home/alice", "alice"
SECRET = "hunter2-correct-horse"


def masker(secrets: tuple[str, ...] = (SECRET,)) -> Masker:
    return Masker(secrets, HOME, USER)


def full(original: Record, *secrets: str) -> Record:
    return redact(original, "full", secrets=secrets, home=HOME, user=USER)


def minimal(original: Record, *secrets: str) -> Record:
    return redact(original, "minimal", secrets=secrets, home=HOME, user=USER)


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
def test_the_tables_name_every_leaf_of_the_schema(model: type[msgspec.Struct], table: dict[str, Any]) -> None:
    assert sorted(table) == sorted(enumerate_leaves(model)), (
        "a field was added, renamed or removed: decide in dashboard_client/leaves.py how redaction treats it"
    )


def test_the_samples_fill_every_leaf() -> None:
    for sample, table in ((full_record(), RECORD), (full_manifest(), MANIFEST)):
        filled = {path for path, value in leaves_of(sample) if value not in (None, [], {})}
        assert filled == set(table)


def test_the_full_tier_keeps_a_record_without_secrets_as_it_is() -> None:
    original = full_record("nothing to hide")
    assert full(original) == original
    assert redact_manifest(full_manifest(), "full", secrets=[], home=HOME, user=USER) == full_manifest()


def test_a_secret_is_masked_in_every_string_at_every_depth() -> None:
    redacted = full(full_record(f"before {SECRET} after"), SECRET)
    assert SECRET not in encode(redacted).decode()
    masked = [path for path, kind in RECORD.items() if kind.kind in (Kind.NAME, Kind.TEXT, Kind.TAIL)]
    leaves = dict(leaves_of(redacted))
    assert all(MARKER in str(leaves[path]) for path in masked)


@pytest.mark.parametrize("tier", ["full", "minimal"])
def test_a_redacted_record_fits_the_schema_keeps_its_identity_and_names_its_tier(tier: str) -> None:
    redacted = redact(full_record(f"{SECRET} {HOME}"), tier, secrets=[SECRET], home=HOME, user=USER)
    assert canonical(redacted) == redacted
    assert redacted.evidence.redaction == tier
    assert redacted.record_id == full_record().record_id
    assert redact_manifest(full_manifest(), tier, secrets=[], home=HOME, user=USER).redaction == tier


def test_the_minimal_tier_keeps_only_the_leaves_on_its_list() -> None:
    text = "4e9d-private-text"
    redacted = minimal(full_record(text))
    for path, value in leaves_of(redacted):
        if path not in RECORD:
            assert value in (None, []), path  # a whole struct that was emptied
        elif RECORD[path].minimal:
            expected = dict(leaves_of(full_record(text)))[path] if path != "evidence.redaction" else "minimal"
            assert value == expected, path
        else:
            assert value in (None, [], {}, WITHHELD), path
    assert redacted.verdict.cause is not None
    assert redacted.verdict.cause.evidence == WITHHELD
    assert redacted.scheduler.outer is not None
    assert redacted.scheduler.outer.emulated is True
    assert redacted.stack.components[0].version == text
    assert redacted.stack.components[0].location is None
    assert (redacted.stack.deployment, redacted.scheduler.launcher, redacted.extras, redacted.case.params) == (
        None,
        None,
        {},
        {},
    )


def test_the_minimal_tier_masks_secrets_in_what_it_keeps() -> None:
    assert SECRET not in encode(minimal(full_record(SECRET), SECRET)).decode()


def test_a_minimal_manifest_keeps_the_plan_and_what_the_collector_needs() -> None:
    text = "4e9d-private-text"
    redacted = redact_manifest(full_manifest(text), "minimal", secrets=[], home=HOME, user=USER)
    assert redacted.planned == full_manifest(text).planned
    assert redacted.selection.partial is True
    assert (redacted.cadence, redacted.stale_after) == (text, text)
    assert redacted.closed == closing(leftover_jobs=[])
    assert (redacted.owner, redacted.deployments, redacted.selection.cases, redacted.harness.remote) == (
        None,
        [],
        [],
        None,
    )
    assert [(waiver.cases, waiver.reason, waiver.owner) for waiver in redacted.waivers] == [(text, WITHHELD, None)]


def test_a_secret_in_a_case_id_is_refused_by_a_message_that_does_not_show_it() -> None:
    case = f"parsl/hello:key={SECRET}@local"
    with pytest.raises(RecordError, match=r"planned\.case_id") as caught:
        redact_manifest(manifest((case,)), "full", secrets=[SECRET], home=HOME, user=USER)
    assert SECRET not in caught.value.message
    with pytest.raises(RecordError, match="case_id") as caught:
        full(record(case), SECRET)
    assert SECRET not in caught.value.message


def test_an_unknown_tier_is_refused() -> None:
    with pytest.raises(RecordError, match=r"there is no tier 'none'"):
        redact(record(), "none", secrets=[], home=HOME, user=USER)


def test_the_home_folder_and_the_user_are_masked_in_texts_but_not_in_names() -> None:
    original = record(
        outcome=Outcome.FAIL,
        evidence=Evidence(
            output_tail="/home/alice/x /home/alice. -L/home/alice/lib /home/alicent/y /scratch/alice/z malice",
            reproduce="cd '/home/alice' && run",
        ),
    )
    evidence = full(original).evidence
    assert evidence.output_tail == "~/x ~. -L~/lib /home/alicent/y /scratch/$USER/z malice"
    assert evidence.reproduce == "cd '~' && run"
    named_parsl = redact(record(CASES[2]), "full", secrets=[], home="/home/parsl", user="parsl")
    assert named_parsl.case.component == "parsl"
    assert named_parsl.stack.components[0].name == "parsl"


@pytest.mark.parametrize("user", ["root", "", "x"])
def test_the_name_of_root_or_of_one_letter_is_not_masked(user: str) -> None:
    assert Masker([], "/", user).mask_text("/root is x, root of all") == "/root is x, root of all"


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
def test_a_secret_of_a_common_form_is_masked_without_being_known(text: str, secret: str) -> None:
    masked = Masker([], HOME, USER).mask_text(text)
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
def test_ordinary_evidence_is_not_masked(text: str) -> None:
    assert Masker([SECRET], HOME, USER).mask_text(text) == text


def test_the_text_around_a_masked_secret_stays_readable() -> None:
    masked = Masker([], HOME, USER).mask_text(
        "connect password=abc123 host=db; https://u:p@db/x; Bearer 0123456789abcdef."
    )
    assert masked == f"connect password={MARKER} host=db; https://{MARKER}@db/x; Bearer {MARKER}"


@pytest.mark.parametrize(
    "encode_secret", [quote, json.dumps, lambda text: base64.b64encode(text.encode()).decode().rstrip("=")]
)
def test_a_known_secret_is_masked_in_other_encodings(encode_secret: Any) -> None:
    secret = 'pa"ss/w örd&<x>'
    assert encode_secret(secret).strip('"') not in masker((secret,)).mask_text(f"a {encode_secret(secret)} b")


def test_a_fragment_of_a_secret_at_the_edge_of_a_tail_is_masked() -> None:
    tail = f"{SECRET[5:]} ran, then {SECRET[:12]}"
    redacted = full(record(evidence=Evidence(output_tail=tail)), SECRET)
    assert redacted.evidence.output_tail == f"{MARKER} ran, then {MARKER}"


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    assert "second-line-x" not in masker(("first-line-x\nsecond-line-x\n",)).mask_text("only second-line-x here")


def test_texts_under_a_confidential_key_are_masked_and_numbers_are_not() -> None:
    redacted = full(
        record(extras={"env": {"DB_PASSWORD": "p", "tokens": 512, "inner": {"api_key": ["k1", {"x": "k2"}]}}})
    )
    assert redacted.extras == {
        "env": {"DB_PASSWORD": MARKER, "tokens": 512, "inner": {"api_key": [MARKER, {MARKER: MARKER}]}}
    }


def test_a_secret_that_is_a_number_or_bytes_or_an_object_is_masked_too() -> None:
    redacted = full(record(extras={"a": 31415926, "b": b"x 31415926", "c": ("31415926", {"31415926"})}), "31415926")
    assert "31415926" not in json.dumps(redacted.extras)
    assert canonical(redacted) == redacted


def test_values_that_json_cannot_represent_are_converted() -> None:
    deep: Any = "bottom"
    for _ in range(500):
        deep = [deep]
    redacted = full(record(extras={"nan": float("nan"), "deep": deep, "half": "a\ud800b", 5: "five"}))
    assert canonical(redacted) == redacted
    assert redacted.extras["nan"] is None
    assert redacted.extras["half"] == "a?b"
    assert redacted.extras["5"] == "five"


def test_two_keys_that_mask_to_the_same_name_are_both_kept() -> None:
    redacted = full(record(extras={SECRET: 1, f"{SECRET}{SECRET}": 2}), SECRET)
    assert sorted(redacted.extras.values()) == [1, 2]


def test_the_time_to_mask_a_long_tail_is_proportional_to_its_length() -> None:
    linear = masker()
    for filler in ("a", "a:", "-----BEGIN ", "password", "https://", "eyJ", "\\", '"', "-", 'token="'):
        linear.mask_text(filler * (400_000 // len(filler)))  # a pattern with quadratic run time would take minutes


SECRETS = st.text(alphabet=st.characters(codec="utf-8"), min_size=MIN_SECRET, max_size=24)
TEXTS = st.text(max_size=20)


@settings(max_examples=200)
@given(
    secrets=st.lists(SECRETS, min_size=1, max_size=3),
    before=TEXTS,
    after=TEXTS,
    tree=st.recursive(
        st.text(max_size=8), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
    ),
    tier=st.sampled_from(["full", "minimal"]),
)
def test_no_planted_secret_survives(secrets: list[str], before: str, after: str, tree: Any, tier: str) -> None:
    usable = [secret.strip() for secret in secrets]
    assume(all(len(secret) >= MIN_SECRET for secret in usable))
    known = encode(record()).decode() + MARKER + WITHHELD + tier + "~$USER"
    assume(not any(secret in known or secret in json.dumps(RECORD_NAMES) for secret in usable))
    original = full_record(f"{before}{usable[0]}{after}{''.join(usable)}")
    extras = original.extras | {"tree": [tree, {secret: [secret] for secret in usable}]}
    original = msgspec.structs.replace(original, extras=extras)
    redacted = msgspec.json.decode(encode(redact(original, tier, secrets=secrets, home=HOME, user=USER)))
    for text in strings(redacted):
        assert not any(secret in text for secret in usable)


RECORD_NAMES = [*sorted({part for path in RECORD for part in path.split(".")}), "tree", "number", "class", "deep"]
