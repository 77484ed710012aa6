"""A cell with its history, as the roll-ups of its component read it."""

from __future__ import annotations

from typing import NamedTuple

from collector.store.streaks import Streak


class Member(NamedTuple):
    """A cell, as one of those that share a row of the board."""

    id: int
    subject: str
    component: str
    scheduler: str
    tier: str
    last_record: int | None
    last_version: str | None
    last_emulated: bool | None
    imported: bool
    streak: Streak
