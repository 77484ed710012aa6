"""Finding and masking what is private inside a string: known secrets, the usual forms of others, home and user."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote, quote_plus

MARKER = "[redacted]"
SHORTEST = 4
"""A known secret of fewer characters is no secret, and masking it would take half of every text along."""
SHORT = 200
"""Texts up to this length repeat from record to record (versions, names, nodes), so what became of them is kept."""
PARTIAL = 8
"""At a cut edge, this many characters of a secret are masked as part of it."""

_WORDS = r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
_HINTS = "passw passphrase secret token key credential"
CONFIDENTIAL_KEY = re.compile(rf"{_WORDS}|^authorization$|^cookie$", re.IGNORECASE)
"""Names of keys under which every string is masked, whatever it looks like; a number (``tokens: 512``) is not."""

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
        # tokens that announce themselves
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
            rf"(?i:(?P<keep>{_WORDS}[a-z0-9_]{{0,40}}\\?[\"']?(?:\s{{0,4}}=\s{{0,4}}|\s{{0,4}}:\s{{0,4}})){_VALUE})",
        ),
        (_HINTS, rf"(?i:(?P<keep>(?<![\w-])--?[a-z0-9-]{{0,40}}{_WORDS}[ ]){_VALUE})"),
    )
)
"""Each form with what stands in every text that has it, in lower case: most texts have none, and looking is quick."""


class Masker:
    """Masks one run's strings. ``secrets`` are known values; the shortest ones are left alone (``SHORTEST``)."""

    def __init__(self, secrets: Sequence[str], home: str, user: str) -> None:
        known = {secret.strip() for secret in secrets}
        known |= {line.strip() for secret in known for line in secret.splitlines() if len(line.strip()) >= PARTIAL}
        self._known = sorted((secret for secret in known if _maskable(secret)), key=len, reverse=True)
        written = {form for secret in self._known for form in _spellings(secret) if _maskable(form)}
        alternatives = "|".join(re.escape(form) for form in sorted(written, key=len, reverse=True))
        self._secrets = re.compile(alternatives) if alternatives else None
        home = home.rstrip("/")
        self._home = re.compile(rf"{re.escape(home)}(?![\w-]|\.\w)") if home else None
        self._remembered = lru_cache(maxsize=2048)(self._secret)
        anonymous = user in ("", "root") or len(user) < 2
        self._user = None if anonymous else re.compile(rf"(?<![A-Za-z0-9]){re.escape(user)}(?![A-Za-z0-9])")

    def secret(self, text: str) -> str:
        """Mask secrets alone."""
        return self._remembered(text) if len(text) <= SHORT else self._secret(text)

    def _secret(self, text: str) -> str:
        return self._settle(_forms(self._known_in(_writable(text))))

    def text(self, text: str) -> str:
        """Mask secrets, the home folder (``~``) and the user's name (``$USER``)."""
        masked = self.secret(text)
        if self._home is not None:
            masked = self._home.sub("~", masked)
        if self._user is not None:
            masked = self._user.sub("$USER", masked)
        return self._settle(masked)

    def tail(self, text: str) -> str:
        """Mask as ``text`` does, and what a cut left of a secret at either edge."""
        for secret in self._known:
            for length in range(min(len(secret) - 1, len(text)), PARTIAL - 1, -1):
                if text.startswith(secret[-length:]):
                    text = MARKER + text[length:]
                if text.endswith(secret[:length]):
                    text = text[:-length] + MARKER
        return self.text(text)

    def _known_in(self, text: str) -> str:
        return text if self._secrets is None else self._secrets.sub(MARKER, text)

    def _settle(self, text: str) -> str:
        """Mask again what a replacement has put together; where that does not end, mask the whole."""
        for _ in range(10):
            again = self._known_in(text)
            if again == text:
                return text
            text = again
        return MARKER


def _maskable(secret: str) -> bool:
    return len(secret) >= SHORTEST and secret not in MARKER


def _spellings(secret: str) -> Iterable[str]:
    """Yield a secret as it is and as JSON, URLs, HTML and HTTP's basic authentication write it."""
    yield secret
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    raw = secret.encode(errors="surrogatepass")
    yield from (quote(raw), quote(raw, safe=""), quote_plus(raw), html.escape(secret))
    yield base64.b64encode(raw).decode().rstrip("=")


def _forms(text: str) -> str:
    lowered = text.lower()
    for hints, form in _FORMS:
        if any(hint in lowered for hint in hints):
            text = form.sub(lambda found: (found.groupdict().get("keep") or "") + MARKER, text)
    return text


def _writable(text: str) -> str:
    """Replace halves of surrogate pairs, which undecodable output leaves in a string and UTF-8 cannot write."""
    return text.encode(errors="replace").decode()
