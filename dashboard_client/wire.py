"""HTTP to a collector: one request at a time, with time limits and few retries; only the collector gets the token."""

from __future__ import annotations

import email.utils
import gzip
import ipaddress
import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
from requests.auth import AuthBase

from dashboard_client.errors import UploadError

_log = logging.getLogger(__name__)

A = TypeVar("A")


@dataclass(frozen=True)
class Policy:
    """Timeouts, retries and batch sizes of a push. Times are in seconds.

    A request is sent again after a 429 or 5xx answer and after a broken connection. The wait doubles from
    ``first_wait`` up to ``longest_wait``, with jitter. If the collector asks for a wait, that one applies, up to
    ``longest_retry_after``. ``insecure_http`` allows sending the token unencrypted to another machine.
    """

    connect_timeout: float = 5
    read_timeout: float = 60
    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30
    longest_retry_after: float = 120
    batch_records: int = 500
    batch_bytes: int = 8_000_000
    insecure_http: bool = False
    sleep: Callable[[float], None] = time.sleep


class Problem(msgspec.Struct, frozen=True):
    """A problem document (RFC 9457) with the members that our collector adds; any member may be absent."""

    title: str | None = None
    detail: str | None = None
    status: int | None = None
    field: str | None = None
    stored_digest: str | None = None
    sent_digest: str | None = None

    def __str__(self) -> str:
        """Return the problem as one line."""
        text = ": ".join(part for part in (self.title, self.detail) if part) or "no reason given"
        return text[:500].rstrip(".") + (f" (field {self.field})" if self.field and self.field not in text else "")


class Refused(UploadError):
    """The collector answered with a client error; sending the request again would not help."""

    def __init__(self, message: str, status: int, problem: Problem) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


class _Bearer(AuthBase):
    """Sets the token where ``~/.netrc`` cannot override it and no redirect forwards it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _no_token(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as it is; without this, ``~/.netrc`` would add a password."""
    return request


class CollectorClient:
    """Sends requests to one collector, with its token."""

    def __init__(self, url: str, token: str | None, session: requests.Session, policy: Policy) -> None:
        """Check address and token before anything is sent; without a token, only public results can be read.

        Raises:
            UploadError: the address or the token is not valid, or the token would be sent unencrypted.
        """
        self.url, self._local = _check_address(url, policy.insecure_http or token is None)
        if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token):
            raise UploadError(
                "the collector's token is empty or contains characters that no token has (spaces, line ends); check "
                "EXAWORKS_COLLECTOR_TOKEN or the file of --token-file"
            )
        self._token = token
        self._session = session
        self._policy = policy

    def post(
        self, path: str, body: bytes, answer: type[A], kind: str = "application/json", run_state: str | None = None
    ) -> A:
        """Send a body, with retries, and return the decoded answer.

        ``run_state`` is ``ended`` for the manifest of a run whose closing follows.

        Raises:
            Refused: the collector answered with a 4xx status other than 429.
            UploadError: no attempt had an answer, or the answer is not that of a collector.
        """
        packed = gzip.compress(body, compresslevel=6, mtime=0)
        advice = "Acknowledged records are remembered; push again to send the rest."
        return self._repeat(path, lambda: self._send(path, packed, kind, run_state), answer, advice)

    def get(self, path: str, query: Mapping[str, str], answer: type[A]) -> A:
        """Request a path, with retries, and return the decoded answer.

        Raises:
            Refused: the collector answered with a 4xx status other than 429.
            UploadError: no attempt had an answer, or the answer is not that of a collector.
        """
        return self._repeat(path, lambda: self._request("GET", path, params=query), answer, "Try again later.")

    def _repeat(self, path: str, send: Callable[[], requests.Response], answer: type[A], advice: str) -> A:
        for attempt in range(1, self._policy.attempts + 1):
            retry_after: float | None = None
            try:
                response = send()
            except requests.exceptions.SSLError as error:
                raise UploadError(
                    f"{self.url}: the connection is not trusted: {self._clean(str(error))}. If a private authority "
                    "issued the certificate, set REQUESTS_CA_BUNDLE to a file with that authority's certificates."
                ) from None
            except (
                requests.exceptions.ConnectionError,
                requests.exceptions.Timeout,
                requests.exceptions.ChunkedEncodingError,
                requests.exceptions.ContentDecodingError,
            ) as error:
                reason = self._clean(f"{type(error).__name__}: {error}")
            except requests.exceptions.RequestException as error:
                raise UploadError(f"{self.url}: the request failed: {self._clean(str(error))}") from None
            else:
                if response.status_code != 429 and response.status_code < 500:
                    return self._read(path, response, answer)
                reason = f"the collector answered {response.status_code}: {self._clean(str(_problem(response)))}"
                retry_after = _retry_after(response)
            if attempt < self._policy.attempts:
                wait = self._wait(attempt, retry_after)
                _log.info("%s%s: %s; attempt %d failed, next one in %.1f s", self.url, path, reason, attempt, wait)
                self._policy.sleep(wait)
        raise UploadError(
            f"{self.url}: gave up after {self._policy.attempts} attempts; the last error: {reason}. {advice}"
        )

    def _send(self, path: str, packed: bytes, kind: str, run_state: str | None) -> requests.Response:
        headers = {
            "Content-Type": kind,
            "Content-Encoding": "gzip",
            "X-ExaWorks-Now": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        if run_state is not None:
            headers["X-ExaWorks-Run"] = run_state
        return self._request("POST", path, data=packed, headers=headers)

    def _request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> requests.Response:
        return self._session.request(
            method,
            self.url + path,
            headers={"Accept": "application/json, application/problem+json", **(headers or {})},
            auth=_Bearer(self._token) if self._token is not None else _no_token,
            timeout=(self._policy.connect_timeout, self._policy.read_timeout),
            allow_redirects=False,
            # a proxy from the environment is not meant for this machine, and would receive the token
            proxies={"http": "", "https": "", "all": ""} if self._local else None,
            **more,
        )

    def _read(self, path: str, response: requests.Response, answer: type[A]) -> A:
        status = response.status_code
        if 300 <= status < 400:
            raise UploadError(
                f"{self.url}: redirects to {self._clean(response.headers.get('Location', 'nowhere'))}; the token is "
                "not sent there. If that is the collector, use its address instead."
            )
        if status >= 400:
            problem = _problem(response)
            text = f"{self.url}{path}: refused with {status}: {self._clean(str(problem))}"
            if status in (401, 403):
                text += (
                    ". Check the token (EXAWORKS_COLLECTOR_TOKEN or --token-file), and that it is valid for this site."
                )
            raise Refused(text, status, problem)
        try:
            return msgspec.json.decode(response.content, type=answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UploadError(
                f"{self.url}{path}: the answer (status {status}) is not that of a collector ({error}); check the URL"
            ) from error

    def _wait(self, attempt: int, retry_after: float | None) -> float:
        if retry_after is not None:
            return min(retry_after, self._policy.longest_retry_after)
        wait = min(self._policy.longest_wait, self._policy.first_wait * 2.0 ** (attempt - 1))
        return wait * (0.5 + random.random() / 2)  # noqa: S311  (spreads clients, guards nothing)

    def _clean(self, text: str) -> str:
        """Remove the token from a text that is to be printed; a server may echo it."""
        return text if self._token is None else text.replace(self._token, "[redacted]")


def _check_address(url: str, insecure_http: bool) -> tuple[str, bool]:
    """Return the address without a trailing slash, and whether it is this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        _ = parts.port
    except ValueError as error:
        raise UploadError(f"the collector's address is not a valid URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UploadError(
            f"the collector's address must begin with https:// or http:// and name a host; {address!r} does not"
        )
    if "@" in parts.netloc:
        raise UploadError(f"{address}: remove user and password from the collector's address; it accepts only a token")
    if parts.query or parts.fragment:
        raise UploadError(f"{address}: the collector's address must not contain ? or #")
    local = _loopback(host)
    if parts.scheme == "http" and not local and not insecure_http:
        raise UploadError(
            f"{address}: the token is not sent over plain http, where others could read it. Use https, or "
            "--insecure-http if the network is trusted."
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
    """Return the wait that the answer asks for, in seconds; the header has seconds or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        until = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return max(0.0, until.timestamp() - time.time())
