"""Identity tokens of GitLab CI (OpenID Connect), which replace stored secrets.

A token is accepted if a configured issuer signed it for this collector. The first rule that matches its claims gives
its site and scope. The keys come from the issuer's JWKS. They are cached, and fetched again if they are old or if a
token names an unknown key, because issuers rotate their keys.
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
RETRY_SECONDS = 30
LEEWAY_SECONDS = 30
TIMEOUT_SECONDS = 10
MAX_BYTES = 1024 * 1024
MAX_TOKEN_LENGTH = 16 * 1024

REFUSED = (
    "The identity token is refused: its issuer is not configured, its audience is another one, it has expired, or its "
    "signature is wrong. Compare iss, aud and exp of the token with the configuration file of the collector."
)


class Keys:
    """The public keys of an issuer, from its JWKS."""

    def __init__(self, issuer: Issuer, clock: Callable[[], float] = time.monotonic) -> None:
        self.issuer = issuer
        self._clock = clock
        self._keys: dict[str | None, Any] = {}
        self._last_fetch: float | None = None
        self._fetched: float | None = None
        self._lock = threading.Lock()

    def find(self, name: str | None) -> Any:
        """Return a key by its id. Fetch the keys if needed, but at most once in ``RETRY_SECONDS``.

        Raises:
            Problem: 503 if the issuer does not answer and no key is known, 401 if it has no such key.
        """
        with self._lock:
            now = self._clock()
            old = self._fetched is None or now - self._fetched > KEEP_SECONDS
            may_fetch = self._last_fetch is None or now - self._last_fetch >= RETRY_SECONDS
            if (old or name not in self._keys) and may_fetch:
                self._last_fetch = now
                self._fetch(now)
            if self._fetched is None:
                raise Problem(503, "issuer", f"The keys of {self.issuer.issuer} cannot be fetched now. Try again.")
            if name not in self._keys:
                raise Problem(401, "token-refused", REFUSED)
            return self._keys[name]

    def _fetch(self, now: float) -> None:
        """Replace the known keys by those of the issuer; keep the known ones if it does not answer."""
        try:
            address = self.issuer.jwks
            if address is None:
                document = _get_json(f"{self.issuer.issuer.rstrip('/')}/.well-known/openid-configuration")
                address = document.get("jwks_uri")
                if not isinstance(address, str) or not is_safe(address):
                    raise ValueError(f"jwks_uri of the discovery document is {address!r}, not an https address")
            key_set = jwt.PyJWKSet.from_dict(_get_json(address))
        except (requests.RequestException, ValueError, jwt.PyJWTError) as error:
            log.error("cannot fetch the keys of %s: %s", self.issuer.issuer, error)
            return
        self._keys = {key.key_id: key for key in key_set.keys if key.public_key_use in (None, "sig")}
        self._fetched = now


class Verifier:
    """Checks identity tokens against the configured issuers and their rules."""

    def __init__(self, issuers: Sequence[Issuer], clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = {issuer.issuer: Keys(issuer, clock) for issuer in issuers}

    def bearer(self, token: str) -> Bearer:
        """Return the site and the grants of an identity token.

        Raises:
            Problem: 401 if it is refused, 403 if no rule matches it, 503 if the issuer does not answer.
        """
        if len(token) > MAX_TOKEN_LENGTH:
            raise Problem(401, "token-refused", REFUSED)
        try:
            head = jwt.get_unverified_header(token)
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
            keys = self._keys.get(issuer) if isinstance(issuer, str) else None
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
        job = f"project_path {claims.get('project_path')!r} and ref {claims.get('ref')!r}"
        raise Problem(403, "no-rule", f"No rule in the configuration file of this collector matches {job[:400]}.")


def matches(allow: Allow, claims: dict[str, Any]) -> bool:
    """Return whether a rule matches these claims; an absent claim, or one that is not a plain path, matches nothing."""
    project, ref = claims.get("project_path"), claims.get("ref")
    if not isinstance(project, str) or not isinstance(ref, str) or not is_plain_path(project) or not is_plain_path(ref):
        return False
    if not fnmatchcase(project, allow.project) or not fnmatchcase(ref, allow.ref):
        return False
    return all(name in claims and _text(claims[name]) == value for name, value in allow.claims.items())


def is_plain_path(text: str) -> bool:
    """Return whether a text is a path that leads down only, as the paths of projects and the names of refs do.

    ``*`` in a rule also matches slashes. Without this check ``olcf/*`` would match ``olcf/../evil``.
    """
    parts = text.split("/")
    return (
        len(text) <= 1024
        and text.isprintable()
        and not set(text) & set("\\%?#")
        and all(part and set(part) != {"."} and part == part.strip() for part in parts)
        and ".." not in text
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _get_json(address: str) -> dict[str, Any]:
    with requests.Session() as session:
        answer = session.get(address, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True)
        if answer.status_code != 200:
            raise ValueError(f"{address} answered with status {answer.status_code}")
        body = answer.raw.read(MAX_BYTES + 1, decode_content=True)
        if len(body) > MAX_BYTES:
            raise ValueError(f"{address} answered with more than {MAX_BYTES} bytes")
        document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError(f"{address} did not answer with a JSON object")
    return document
