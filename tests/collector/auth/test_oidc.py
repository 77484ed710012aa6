"""The identity token of a CI job replaces a stored secret, if its issuer signed it and a rule matches the job."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from collector.auth.oidc import KEEP_SECONDS, RETRY_SECONDS, Verifier
from collector.errors import Problem, SettingsError
from collector.settings import Allow, Settings, read_settings
from collector.settings import Issuer as ConfiguredIssuer
from tests.collector.issuer import Issuer
from tests.collector.process import Collector, tool
from tests.collector.samples import CASES, manifest, record

AUDIENCE = "https://status.example.org"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    served = Issuer()
    yield served
    served.stop()


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def verifier(issuer: Issuer, clock: list[float]) -> Verifier:
    rules = [
        Allow(site="ornl", project="olcf/*", ref="main", claims={"ref_protected": "true"}),
        Allow(site="ornl", scope="read", project="olcf/*", ref="*"),
    ]
    return Verifier([ConfiguredIssuer(issuer=issuer.url, audience=AUDIENCE, allow=rules)], clock=lambda: clock[0])


def refusal(verifier: Verifier, token: str) -> int:
    with pytest.raises(Problem) as refused:
        verifier.bearer(token)
    return refused.value.status


def test_the_first_rule_that_matches_gives_site_and_scope(issuer: Issuer, verifier: Verifier) -> None:
    bearer = verifier.bearer(issuer.token())
    assert (bearer.site, bearer.grants, bearer.token) == ("ornl", {"upload"}, "oidc:olcf/validate@main")
    assert verifier.bearer(issuer.token(ref="feature/x")).grants == {"read"}
    assert verifier.bearer(issuer.token(ref_protected=None)).grants == {"read"}
    assert verifier.bearer(issuer.token(ref_protected=True)).grants == {"upload"}


@pytest.mark.parametrize(
    "changes",
    [
        {"project_path": "evil/olcf"},
        {"project_path": "evil"},
        {"project_path": None},
        {"project_path": "olcf/../evil"},
        {"project_path": "olcf/./x/../../evil"},
        {"project_path": "olcf/%2e%2e/evil"},
        {"project_path": "olcf/..\\evil"},
        {"project_path": "olcf//evil"},
        {"project_path": "olcf/evil\n"},
        {"project_path": "olcf/"},
        {"ref": None},
        {"ref": 7},
        {"ref": "../main"},
        {"ref": "a\0b"},
    ],
)
def test_a_job_that_no_rule_matches_is_refused(issuer: Issuer, verifier: Verifier, changes: dict[str, Any]) -> None:
    assert refusal(verifier, issuer.token(**changes)) == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://else.example.org"},
        {"aud": None},
        {"iss": "https://gitlab.evil.example"},
        {"iss": None},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"nbf": 4_000_000_000},
        {"iat": None},
    ],
)
def test_a_token_of_another_audience_issuer_or_time_is_refused(
    issuer: Issuer, verifier: Verifier, changes: dict[str, Any]
) -> None:
    assert refusal(verifier, issuer.token(**changes)) == 401


def signed_with_the_public_key(claims: dict[str, Any], published: dict[str, Any]) -> str:
    """Forge a token as if the public key were a shared secret."""
    head = {"alg": "HS256", "kid": published["kid"], "typ": "JWT"}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, claims)]
    pem = jwt.PyJWK(published).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = hmac.digest(pem, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def test_a_token_that_the_issuer_did_not_sign_is_refused(issuer: Issuer, verifier: Verifier) -> None:
    whole = issuer.token()
    head, body, signature = whole.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    changed = base64.urlsafe_b64encode(json.dumps(claims | {"project_path": "olcf/x"}).encode()).decode().rstrip("=")
    published = issuer.document("/oauth/discovery/keys")["keys"][0]
    forged = [
        f"{head}.{changed}.{signature}",
        jwt.encode(claims, "", algorithm="none", headers={"kid": "first"}),
        signed_with_the_public_key(claims, published),
        f"{head}.{body}.",
        "ey.ey.ey",
        whole + "A" * 20_000,
    ]
    assert [refusal(verifier, token) for token in forged] == [401] * len(forged)
    other = Issuer()
    try:
        assert refusal(verifier, other.token(iss=issuer.url)) == 401
    finally:
        other.stop()


def test_keys_are_fetched_once_and_again_when_the_issuer_rotates_them(
    issuer: Issuer, verifier: Verifier, clock: list[float]
) -> None:
    for _ in range(5):
        verifier.bearer(issuer.token())
    assert issuer.fetches == 1
    old = issuer.token()
    issuer.rotate("second")
    clock[0] += RETRY_SECONDS
    verifier.bearer(issuer.token())
    assert issuer.fetches == 2
    assert refusal(verifier, old) == 401
    assert issuer.fetches == 2, "an unknown key id does not make the collector fetch the keys each time"
    clock[0] += KEEP_SECONDS + 1
    verifier.bearer(issuer.token())
    assert issuer.fetches == 3


def test_a_token_whose_key_is_known_is_accepted_while_the_issuer_is_down(
    issuer: Issuer, verifier: Verifier, clock: list[float]
) -> None:
    issuer.down = True
    assert refusal(verifier, issuer.token()) == 503
    issuer.down = False
    clock[0] += RETRY_SECONDS
    verifier.bearer(issuer.token())
    issuer.down = True
    clock[0] += KEEP_SECONDS + 1
    verifier.bearer(issuer.token())


def test_a_pipeline_uploads_with_its_identity_token_only(issuer: Issuer, tmp_path: Path) -> None:
    config = tmp_path / "collector.yaml"
    config.write_text(
        f"oidc:\n  - issuer: {issuer.url}\n    audience: {AUDIENCE}\n"
        "    allow:\n      - {site: ornl, project: olcf/validate, ref: main}\n"
    )
    served = Collector(tmp_path, "--config", str(config), token=None)
    token = issuer.token()
    assert served.open(manifest("by-identity"), token=token).status_code == 201
    assert served.add(record("by-identity", CASES[0]), token=token).json()["rejected"] == []
    assert served.open(manifest("other", site="anl"), token=token).status_code == 403
    assert served.open(manifest("late"), token=issuer.token(exp=1_700_000_000)).status_code == 401
    assert served.stop() == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("oidc: [{issuer: 'http://gitlab.example.org', audience: a, allow: []}]", "must begin with https://"),
        ("oidc: [{issuer: 'https://x.example', audience: a, allow: [{site: s, project: '', ref: m}]}]", "project"),
        (
            "oidc: [{issuer: 'https://x.example', audience: a, allow: [{site: s, project: p, ref: m, scope: admin}]}]",
            "scope",
        ),
        ("rates: {per_second: 0}", "per_second"),
        ("surprise: 1", "surprise"),
        ("oidc: {", "oidc"),
    ],
)
def test_a_wrong_configuration_is_refused_before_the_server_starts(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "collector.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_settings(file)
    refused = tool(tmp_path, "serve", "--port", "0", "--config", str(file))
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)


def test_without_a_configuration_file_no_issuer_is_accepted() -> None:
    assert read_settings(None) == Settings()
