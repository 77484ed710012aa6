"""What a hook subscribes to, in which shape it gets messages, and when it must not be disturbed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from collector.errors import HookError
from dashboard_client.schema import CauseClass

SHAPES = ("json", "slack", "mattermost", "teams", "matrix", "gitlab")
EVENTS = ("change", "silent", "regression", "waiver")
USUAL_EVENTS = ("change", "silent")
GATHER_MINUTES = 10
"""How long a hook of a chat waits for further failures, so that one cause on many systems is one message."""

HOUR_MS = 3_600_000
DAY_HOURS = 24


class HookOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The options of a hook, as the database stores them. An empty list means everything.

    ``quiet``: the first hour without messages and the first hour with messages again, in UTC. ``gather``: minutes.
    ``token_variable``: the environment variable of the server that holds the token of a Matrix or GitLab account.
    """

    shape: Literal["json", "slack", "mattermost", "teams", "matrix", "gitlab"] = "json"
    events: list[str] = msgspec.field(default_factory=lambda: list(USUAL_EVENTS))
    components: list[str] = []
    owners: list[str] = []
    classes: list[str] = []
    quiet: tuple[int, int] | None = None
    gather: int = 0
    token_variable: str | None = None

    def wants(self, component: str, owner: str | None, cls: str | None) -> bool:
        """Return whether a case is subscribed: of a component or a pair with it, of an owner, of a fault class.

        A case that passes has no fault class; whether it recovered is of interest to every class.
        """
        parts = {component, *component.split("+")}
        return (
            (not self.components or not parts.isdisjoint(self.components))
            and (not self.owners or owner in self.owners)
            and (not self.classes or cls is None or cls in self.classes)
        )

    def owns(self, owner: str | None) -> bool:
        """Return whether something that belongs to a whole system is subscribed."""
        return not self.owners or owner in self.owners

    def due(self, now: int) -> int:
        """Return when a message that is queued now may be sent, in milliseconds since 1970."""
        due = now + 60_000 * self.gather
        if self.quiet is None:
            return due
        first, last = self.quiet
        hour = due // HOUR_MS % DAY_HOURS
        if (hour - first) % DAY_HOURS >= (last - first) % DAY_HOURS:
            return due
        return (due // HOUR_MS + (last - hour) % DAY_HOURS) * HOUR_MS


def read_options(packed: str | None) -> HookOptions:
    """Return the options that the database holds for a hook."""
    return msgspec.json.decode(packed, type=HookOptions) if packed else HookOptions()


def make_options(
    shape: str = "json",
    events: Iterable[str] = (),
    components: Sequence[str] = (),
    owners: Sequence[str] = (),
    classes: Sequence[str] = (),
    quiet: str | None = None,
    gather: int | None = None,
    token_variable: str | None = None,
) -> HookOptions:
    """Return options from what the command line states.

    Raises:
        HookError: a value is not valid, or the shape needs a token.
    """
    unknown = [each for each in classes if each not in {cls.value for cls in CauseClass}]
    if unknown:
        raise HookError(f"{unknown[0]!r} is no fault class. Use {', '.join(cls.value for cls in CauseClass)}.")
    if shape in ("matrix", "gitlab") and not token_variable:
        raise HookError(f"a hook of shape {shape} needs --token-variable, the name of an environment variable.")
    values: dict[str, Any] = {"components": list(components), "owners": list(owners), "classes": list(classes)}
    waits = GATHER_MINUTES if shape != "json" else 0
    return HookOptions(
        **values,
        shape=msgspec.convert(shape, Literal["json", "slack", "mattermost", "teams", "matrix", "gitlab"]),
        events=list(events) or list(USUAL_EVENTS),
        quiet=_hours(quiet),
        gather=waits if gather is None else gather,
        token_variable=token_variable,
    )


def _hours(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.split("-")
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= 2]
    if len(parts) != 2 or len(numbers) != 2 or max(numbers) > 23 or numbers[0] == numbers[1]:
        raise HookError(f"--quiet {text!r} must be two different hours from 0 to 23 (UTC), such as 22-6.")
    return numbers[0], numbers[1]
