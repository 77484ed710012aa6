"""The way to a collector: one POST at a time, with time limits, retries that end, and a token kept to it."""

from __future__ import annotations

import email.utils
import gzip
import ipaddress
import logging
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
from requests.auth import AuthBase

from dashboard_client.errors import UploadError

_log = logging.getLogger(__name__)

A = TypeVar("A")


@dataclass(frozen=True)
class Policy:
    """How patiently to push. Seconds, except for ``attempts`` and the two limits of a batch.

    A 429 or 5xx answer and a broken connection are tried again; the wait doubles from ``first_wait`` up to
    ``longest_wait``, with jitter, or is what the collector asks for, up to ``longest_asked``. ``insecure_http`` lets
    the token travel unencrypted to another machine.
    """

    connect_timeout: float = 5
    read_timeout: float = 60
    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30
    longest_asked: float = 120
    batch_records: int = 500
    batch_bytes: int = 8_000_000
    insecure_http: bool = False
    sleep: Callable[[float], None] = time.sleep


class Problem(msgspec.Struct, frozen=True):
    """A problem document (RFC 9457) with the members our collector adds; any of them may be absent."""

    title: str | None = None
    detail: str | None = None
    status: int | None = None
    field: str | None = None
    stored_digest: str | None = None
    sent_digest: str | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        text = ": ".join(part for part in (self.title, self.detail) if part) or "no reason given"
        return text[:500].rstrip(".") + (f" (field {self.field})" if self.field and self.field not in text else "")


class Refused(UploadError):
    """The collector answered with a client error, which trying again would not change."""

    def __init__(self, message: str, status: int, problem: Problem) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


class _Bearer(AuthBase):
    """Set the token in a place that ``~/.netrc`` cannot override and a redirect cannot carry on."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Wire:
    """A collector's address and the right to write to it."""

    def __init__(self, url: str, token: str, session: requests.Session, policy: Policy) -> None:
        """Check address and token before anything is sent.

        Raises:
            UploadError: the address is no collector's, or the token would travel in the open.
        """
        self.url, self._local = _checked(url, policy.insecure_http)
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise UploadError("the collector's token is empty or holds what no token has (spaces, line ends)")
        self._token = token
        self._session = session
        self._policy = policy

    def post(self, path: str, body: bytes, answer: type[A], kind: str = "application/json") -> A:
        """Send a body, again if need be, and return the answer as the contract has it.

        Raises:
            Refused: the collector answered with a 4xx other than 429.
            UploadError: it did not answer, or not as a collector does, as often as it was tried.
        """
        packed = gzip.compress(body, compresslevel=6, mtime=0)
        for attempt in range(1, self._policy.attempts + 1):
            asked: float | None = None
            try:
                response = self._send(path, packed, kind)
            except requests.exceptions.SSLError as error:
                raise UploadError(
                    f"{self.url}: no connection that can be trusted: {self._clean(str(error))}. If its certificate is "
                    "from an authority of your own, name that one's certificates in REQUESTS_CA_BUNDLE."
                ) from None
            except (
                requests.exceptions.ConnectionError,
                requests.exceptions.Timeout,
                requests.exceptions.ChunkedEncodingError,
                requests.exceptions.ContentDecodingError,
            ) as error:
                reason = self._clean(f"{type(error).__name__}: {error}")
            except requests.exceptions.RequestException as error:
                raise UploadError(f"{self.url}: cannot be asked: {self._clean(str(error))}") from None
            else:
                if response.status_code != 429 and response.status_code < 500:
                    return self._read(path, response, answer)
                reason = f"it answered {response.status_code}: {self._clean(str(_problem(response)))}"
                asked = _retry_after(response)
            if attempt < self._policy.attempts:
                wait = self._wait(attempt, asked)
                _log.info("%s%s: %s; attempt %d, again in %.1f s", self.url, path, reason, attempt, wait)
                self._policy.sleep(wait)
        raise UploadError(
            f"{self.url}: gave up after {self._policy.attempts} attempts; the last: {reason}. "
            "What it acknowledged is remembered; push again to send the rest."
        )

    def _send(self, path: str, packed: bytes, kind: str) -> requests.Response:
        headers = {
            "Content-Type": kind,
            "Content-Encoding": "gzip",
            "Accept": "application/json, application/problem+json",
        }
        return self._session.post(
            self.url + path,
            data=packed,
            headers=headers,
            auth=_Bearer(self._token),
            timeout=(self._policy.connect_timeout, self._policy.read_timeout),
            allow_redirects=False,
            # a proxy of the environment is not for this machine, and would be handed the token
            proxies={"http": "", "https": "", "all": ""} if self._local else None,
        )

    def _read(self, path: str, response: requests.Response, answer: type[A]) -> A:
        status = response.status_code
        if 300 <= status < 400:
            raise UploadError(
                f"{self.url}: sends on to {self._clean(response.headers.get('Location', 'nowhere'))}; the token is not "
                "sent after it. If that is the collector, give its address instead."
            )
        if status >= 400:
            problem = _problem(response)
            told = f"{self.url}{path}: refused with {status}: {self._clean(str(problem))}"
            if status in (401, 403):
                told += ". Check the token (EXAWORKS_COLLECTOR_TOKEN or --token-file) and the site it is for."
            raise Refused(told, status, problem)
        try:
            return msgspec.json.decode(response.content, type=answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UploadError(
                f"{self.url}{path}: answered {status}, but not as a collector does ({error}); is it the right address?"
            ) from error

    def _wait(self, attempt: int, asked: float | None) -> float:
        if asked is not None:
            return min(asked, self._policy.longest_asked)
        wait = min(self._policy.longest_wait, self._policy.first_wait * 2.0 ** (attempt - 1))
        return wait * (0.5 + random.random() / 2)  # noqa: S311  (spreads clients, guards nothing)

    def _clean(self, text: str) -> str:
        """Keep the token out of what is printed, even where a server echoes it."""
        return text.replace(self._token, "[redacted]")


def _checked(url: str, insecure_http: bool) -> tuple[str, bool]:
    """Return the address without a trailing slash, and whether it is this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        named = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        _ = parts.port
    except ValueError as error:
        raise UploadError(f"the collector's address is none: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UploadError(f"the collector's address must begin with https:// or http:// and name a host, not {named!r}")
    if "@" in parts.netloc:
        raise UploadError(f"{named}: leave user and password out of the collector's address; it is a token that counts")
    if parts.query or parts.fragment:
        raise UploadError(f"{named}: the collector's address takes no ? or #")
    local = _loopback(host)
    if parts.scheme == "http" and not local and not insecure_http:
        raise UploadError(
            f"{named}: over plain http the token could be read on the way, so it is not sent. Use https, "
            "or --insecure-http where the network is trusted."
        )
    return url.rstrip("/"), local


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _problem(response: requests.Response) -> Problem:
    try:
        return msgspec.json.decode(response.content, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Problem(title=response.reason or None)


def _retry_after(response: requests.Response) -> float | None:
    """Read the wait that the answer asks for: seconds, or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        until = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return max(0.0, until.timestamp() - time.time())
