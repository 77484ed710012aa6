"""Mask private values in a string: known secrets, common forms of others, the home folder and the user's name."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote, quote_plus

MARKER = "[redacted]"
MIN_SECRET = 4
"""A known secret with fewer characters is not masked: masking it would remove parts of every text."""
CACHED_LENGTH = 200
"""Texts up to this length recur in many records (versions, names, nodes), so their masked form is cached."""
MIN_FRAGMENT = 8
"""At a cut edge, a fragment of a secret with at least this many characters is masked."""

_NAMES = r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
_HINTS = "passw passphrase secret token key credential"
CONFIDENTIAL_KEY = re.compile(rf"{_NAMES}|^authorization$|^cookie$", re.IGNORECASE)
"""Keys under which every string is masked, whatever it contains; a number (``tokens: 512``) is not."""

_VALUE = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|(?:\\["'])[^"'\\\n]*|[^\s"',;&<>]+)"""
_FORMS = tuple(
    (hints.split(), re.compile(form))
    for hints, form in (
        # private keys: whole, cut at the end, cut at the beginning
        (
            "-----begin",
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
        ),
        ("-----end", r"\A(?s:(?:(?!-----BEGIN ).)*?)-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"),
        # credentials in a URL, up to the last @ of the authority
        ("://", r"(?P<keep>\b[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/?#\"'<>]+(?=@)"),
        # tokens with a known prefix
        ("eyj", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*"),
        (
            "glpat- gldt- glrt- glcbt- glptt- glft- glimt- glagent- gloas- glsoat- glffct-",
            r"\bgl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[A-Za-z0-9_.=-]{8,}",
        ),
        ("ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", r"\bgh[pousr]_[A-Za-z0-9]{16,}|\bgithub_pat_[A-Za-z0-9_]{16,}"),
        ("akia asia abia acca", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
        ("munge:", r"\bMUNGE:[A-Za-z0-9+/=]{16,}:?"),
        ("bearer", r"(?i:(?P<keep>\bbearer\s+)[A-Za-z0-9._~+/=-]{8,})"),
        (
            "authorization",
            r"(?i:(?P<keep>\b(?:proxy-)?authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?"
            r"(?:(?:basic|bearer|digest|negotiate|token)\s+)?)[^\s\"',]+)",
        ),
        # name=value, name: value, --name value
        (
            _HINTS,
            rf"(?i:(?P<keep>{_NAMES}[a-z0-9_]{{0,40}}\\?[\"']?(?:\s{{0,4}}=\s{{0,4}}|\s{{0,4}}:\s{{0,4}})){_VALUE})",
        ),
        (_HINTS, rf"(?i:(?P<keep>(?<![\w-])--?[a-z0-9-]{{0,40}}{_NAMES}[ ]){_VALUE})"),
    )
)
"""Lower-case hints and a pattern. Every text that matches contains a hint; testing for hints first is fast, since most
texts contain none."""


class Masker:
    """Masks the strings of one run. ``secrets`` are known values; those shorter than ``MIN_SECRET`` are not masked."""

    def __init__(self, secrets: Sequence[str], home: str, user: str) -> None:
        known = {secret.strip() for secret in secrets}
        known |= {line.strip() for secret in known for line in secret.splitlines() if len(line.strip()) >= MIN_FRAGMENT}
        self._known = sorted((secret for secret in known if _maskable(secret)), key=len, reverse=True)
        spellings = {form for secret in self._known for form in _spellings(secret) if _maskable(form)}
        alternatives = "|".join(re.escape(form) for form in sorted(spellings, key=len, reverse=True))
        self._secrets = re.compile(alternatives) if alternatives else None
        home = home.rstrip("/")
        self._home = re.compile(rf"{re.escape(home)}(?![\w-]|\.\w)") if home else None
        self._mask_cached = lru_cache(maxsize=2048)(self._mask_secrets)
        anonymous = user in ("", "root") or len(user) < 2
        self._user = None if anonymous else re.compile(rf"(?<![A-Za-z0-9]){re.escape(user)}(?![A-Za-z0-9])")

    def mask_secrets(self, text: str) -> str:
        """Mask secrets only."""
        return self._mask_cached(text) if len(text) <= CACHED_LENGTH else self._mask_secrets(text)

    def _mask_secrets(self, text: str) -> str:
        return self._mask_repeatedly(_mask_forms(self._mask_known(_without_surrogates(text))))

    def mask_text(self, text: str) -> str:
        """Mask secrets, the home folder (``~``) and the user's name (``$USER``)."""
        masked = self.mask_secrets(text)
        if self._home is not None:
            masked = self._home.sub("~", masked)
        if self._user is not None:
            masked = self._user.sub("$USER", masked)
        return self._mask_repeatedly(masked)

    def mask_tail(self, text: str) -> str:
        """Mask as ``mask_text`` does, and also the fragments of secrets at either edge of a text that was cut."""
        for secret in self._known:
            for length in range(min(len(secret) - 1, len(text)), MIN_FRAGMENT - 1, -1):
                if text.startswith(secret[-length:]):
                    text = MARKER + text[length:]
                if text.endswith(secret[:length]):
                    text = text[:-length] + MARKER
        return self.mask_text(text)

    def _mask_known(self, text: str) -> str:
        return text if self._secrets is None else self._secrets.sub(MARKER, text)

    def _mask_repeatedly(self, text: str) -> str:
        """Mask secrets that arise when a replacement joins their parts; if that does not end, mask the whole text."""
        for _ in range(10):
            masked = self._mask_known(text)
            if masked == text:
                return text
            text = masked
        return MARKER


def _maskable(secret: str) -> bool:
    return len(secret) >= MIN_SECRET and secret not in MARKER


def _spellings(secret: str) -> Iterable[str]:
    """Yield a secret as it is, and as JSON, URLs, HTML and HTTP basic authentication encode it."""
    yield secret
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    raw = secret.encode(errors="surrogatepass")
    yield from (quote(raw), quote(raw, safe=""), quote_plus(raw), html.escape(secret))
    yield base64.b64encode(raw).decode().rstrip("=")


def _mask_forms(text: str) -> str:
    lowered = text.lower()
    for hints, form in _FORMS:
        if any(hint in lowered for hint in hints):
            text = form.sub(lambda match: (match.groupdict().get("keep") or "") + MARKER, text)
    return text


def _without_surrogates(text: str) -> str:
    """Replace lone surrogates, which result from undecodable output and which UTF-8 cannot encode."""
    return text.encode(errors="replace").decode()
