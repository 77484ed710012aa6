"""The collector's configuration file: the issuers of identity tokens, and the rate limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from collector.errors import SettingsError

PER_SECOND = 50.0
BURST = 500
GUESSES_PER_SECOND = 5.0
GUESSES = 50


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of all sections; an unknown key is an error, so that a misspelt one is never ignored."""


class Allow(_Struct, frozen=True, kw_only=True):
    """A rule: which pipelines may upload for a site, read, or note something about its failures.

    ``project`` and ``ref`` are shell patterns for the claims ``project_path`` and ``ref``; ``*`` also matches slashes.
    ``claims`` holds further claims whose text must be equal, such as ``ref_protected: "true"``.
    """

    site: str
    scope: Literal["upload", "read", "triage"] = "upload"
    project: str
    ref: str
    claims: dict[str, str] = {}


class Issuer(_Struct, frozen=True, kw_only=True):
    """An issuer of identity tokens. Its keys are at ``jwks``, or at the address in its discovery document."""

    issuer: str
    audience: str
    jwks: str | None = None
    allow: list[Allow]


class Rates(_Struct, frozen=True, kw_only=True):
    """Rate limits: requests a second and burst of one token; the same for requests with an invalid token."""

    per_second: float = PER_SECOND
    burst: int = BURST
    guesses_per_second: float = GUESSES_PER_SECOND
    guesses: int = GUESSES


class Settings(_Struct, frozen=True, kw_only=True):
    """The whole configuration file."""

    oidc: list[Issuer] = []
    rates: Rates = Rates()


def read_settings(file: Path | None) -> Settings:
    """Read the configuration file, or return the defaults if there is none.

    Raises:
        SettingsError: the file cannot be read, or a key or value in it is wrong; the message names the place.
    """
    if file is None:
        return Settings()
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        tree: Any = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
        settings = msgspec.convert(tree if tree is not None else {}, Settings)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}") from error
    except (YAMLError, msgspec.ValidationError) as error:
        raise SettingsError(f"{file}: {error}") from error
    for place, issuer in enumerate(settings.oidc):
        for name, address in (("issuer", issuer.issuer), ("jwks", issuer.jwks)):
            if address is not None and not is_safe(address):
                raise SettingsError(
                    f"{file}: $.oidc[{place}].{name}: {address!r} must begin with https://. "
                    "http:// is accepted for a loopback address only."
                )
        for which, allow in enumerate(issuer.allow):
            for name, value in (("site", allow.site), ("project", allow.project), ("ref", allow.ref)):
                if not value.strip():
                    where = f"$.oidc[{place}].allow[{which}].{name}"
                    raise SettingsError(f"{file}: {where} is empty. Write a name or a pattern.")
    rates = settings.rates
    if min(rates.per_second, rates.guesses_per_second) <= 0 or min(rates.burst, rates.guesses) < 1:
        raise SettingsError(
            f"{file}: $.rates: per_second and guesses_per_second must be above 0, burst and guesses at least 1."
        )
    return settings


def is_safe(address: str) -> bool:
    """Return whether an address can be trusted: it uses TLS, or it is on this machine."""
    from urllib.parse import urlsplit

    parts = urlsplit(address)
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and loopback))
