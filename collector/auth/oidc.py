"""Identity tokens of GitLab CI (OpenID Connect) in place of stored secrets.

A token is believed when one of the configured issuers signed it for this collector, and permits what the first rule
does that its claims match. Keys come from the issuer's JWKS; they are kept, and asked for again when they are old or a
token names one that is not among them, since issuers rotate them.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import jwt
import requests

from collector.auth.tokens import GRANTS, Bearer
from collector.errors import Problem
from collector.settings import Allow, Issuer, is_safe

log = logging.getLogger("collector")

ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384"]
KEEP_SECONDS = 3600
AGAIN_SECONDS = 30
LEEWAY_SECONDS = 30
TIMEOUT_SECONDS = 10
MAX_BYTES = 1024 * 1024
LONGEST = 16 * 1024

REFUSED = "The identity token is not of a configured issuer, not for this collector, expired, or not rightly signed."


class Keys:
    """An issuer's public keys, as its JWKS gives them."""

    def __init__(self, issuer: Issuer, clock: Callable[[], float] = time.monotonic) -> None:
        self.issuer = issuer
        self._clock = clock
        self._keys: dict[str | None, Any] = {}
        self._asked: float | None = None
        self._got: float | None = None
        self._lock = threading.Lock()

    def find(self, name: str | None) -> Any:
        """Return a key by its id, asking the issuer where needed, but not for every made-up id.

        Raises:
            Problem: 503 the issuer cannot be asked and no key is known, 401 it has no such key.
        """
        with self._lock:
            now = self._clock()
            old = self._got is None or now - self._got > KEEP_SECONDS
            may_ask = self._asked is None or now - self._asked >= AGAIN_SECONDS
            if (old or name not in self._keys) and may_ask:
                self._asked = now
                self._ask(now)
            if self._got is None:
                raise Problem(503, "issuer", f"The keys of {self.issuer.issuer} cannot be had now. Send it again.")
            if name not in self._keys:
                raise Problem(401, "token-refused", REFUSED)
            return self._keys[name]

    def _ask(self, now: float) -> None:
        """Take the issuer's keys in place of those known; where it does not answer, those stay."""
        try:
            address = self.issuer.jwks
            if address is None:
                about = _get_json(f"{self.issuer.issuer.rstrip('/')}/.well-known/openid-configuration")
                address = about.get("jwks_uri")
                if not isinstance(address, str) or not is_safe(address):
                    raise ValueError(f"jwks_uri is {address!r}")
            found = jwt.PyJWKSet.from_dict(_get_json(address))
        except (requests.RequestException, ValueError, jwt.PyJWTError) as error:
            log.error("the keys of %s: %s", self.issuer.issuer, error)
            return
        self._keys = {key.key_id: key for key in found.keys if key.public_key_use in (None, "sig")}
        self._got = now


class Verifier:
    """What is believed of identity tokens."""

    def __init__(self, issuers: Sequence[Issuer], clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = {issuer.issuer: Keys(issuer, clock) for issuer in issuers}

    def bearer(self, token: str) -> Bearer:
        """Return whom an identity token speaks for.

        Raises:
            Problem: 401 it is not believed, 403 no rule is for its project and ref, 503 the issuer cannot be asked.
        """
        if len(token) > LONGEST:
            raise Problem(401, "token-refused", REFUSED)
        try:
            head = jwt.get_unverified_header(token)
            said = jwt.decode(token, options={"verify_signature": False}).get("iss")
            keys = self._keys.get(said) if isinstance(said, str) else None
            if keys is None or head.get("alg") not in ALGORITHMS:
                raise Problem(401, "token-refused", REFUSED)
            key = keys.find(head.get("kid"))
            claims = jwt.decode(
                token,
                key=key,
                algorithms=[key.algorithm_name] if key.algorithm_name in ALGORITHMS else [],
                audience=keys.issuer.audience,
                issuer=keys.issuer.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise Problem(401, "token-refused", REFUSED) from error
        for allow in keys.issuer.allow:
            if matches(allow, claims):
                name = f"oidc:{claims.get('project_path')}@{claims.get('ref')}"[:200]
                return Bearer(site=allow.site, grants=GRANTS[allow.scope], token=name)
        told = f"project_path {claims.get('project_path')!r} and ref {claims.get('ref')!r}"
        raise Problem(403, "no-rule", f"No rule of this collector is for {told[:400]}.")


def matches(allow: Allow, claims: dict[str, Any]) -> bool:
    """Tell whether a rule is for these claims; one that is absent matches nothing."""
    project, ref = claims.get("project_path"), claims.get("ref")
    if not isinstance(project, str) or not isinstance(ref, str):
        return False
    if not fnmatchcase(project, allow.project) or not fnmatchcase(ref, allow.ref):
        return False
    return all(name in claims and _text(claims[name]) == value for name, value in allow.claims.items())


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _get_json(address: str) -> dict[str, Any]:
    with requests.Session() as session:
        answer = session.get(address, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True)
        if answer.status_code != 200:
            raise ValueError(f"{address} answers {answer.status_code}")
        body = answer.raw.read(MAX_BYTES + 1, decode_content=True)
        if len(body) > MAX_BYTES:
            raise ValueError(f"{address} answers more than {MAX_BYTES} bytes")
        found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError(f"{address} is no JSON object")
    return found
