"""The clock of a client, as far as it differs from the clock of this server.

A client sends the time of its own clock with each request, so that the server can measure the skew: client minus
server. If it is larger than ``TOLERANCE_MS``, the instants in the request are converted to the clock of the server. An
instant that would then still lie in the future counts as the instant of receipt, because nothing is received before it
happens. So results are ordered by the clock of the server, and those of a clock that is ahead do not hide later ones.
"""

from __future__ import annotations

from collector.clock import TOLERANCE_MS, instant_ms, is_off, iso
from collector.errors import Problem

MAX_FUTURE_MS = 24 * 3600 * 1000
"""An instant of a client that does not send its time is refused if it is later than this."""

HEADER = "X-ExaWorks-Now"
"""The request header with the time of the client's clock."""


class ClientClock:
    """Converts the instants of one request to the clock of this server.

    ``skew``: how far the client's clock is ahead, in milliseconds; None if it is not known. An instant in the future
    shows that it is at least so far ahead.
    """

    def __init__(self, now: int, measured: int | None = None) -> None:
        self.now = now
        self.skew = measured
        self._shift = measured if measured is not None and abs(measured) > TOLERANCE_MS else 0

    def instant(self, text: str) -> int:
        """Return an instant of the client in milliseconds by the clock of this server.

        Raises:
            ValueError: the text is not an instant, or lies more than a day in the future.
        """
        ms = instant_ms(text) - self._shift
        if ms > self.now + MAX_FUTURE_MS:
            raise ValueError(f"{text} is more than a day in the future")
        if ms > self.now + TOLERANCE_MS:
            self.skew = max(self.skew or 0, ms - self.now + self._shift)
        return min(ms, self.now)

    @property
    def excess(self) -> int | None:
        """The skew if it is larger than the tolerance, else None."""
        return self.skew if is_off(self.skew) else None


def measured_skew(sent: str | None, received: int) -> int | None:
    """Return the skew of a client: what the header states, minus the time at which the request arrived.

    Raises:
        Problem: 400, the header is not an instant.
    """
    if not sent:
        return None
    try:
        return instant_ms(sent) - received
    except ValueError as error:
        detail = f"{HEADER}: {error}. Send the time of the client's clock, such as {iso(received)}."
        raise Problem(400, "invalid", detail, HEADER) from error
