"""The cores of this machine, shared by the runs of all rehearsals on it, whoever started them.

Each run counts what it does on this machine by itself (``Supervisor``). Side by side, several runs would do as many
times more than the machine can, and their cases would reach their time limits. So a run of a rehearsal takes a token
for each core before it starts work, and returns it afterwards. A token is a UNIX socket with a name in the abstract
namespace (unix(7)): one process has it at a time, and the kernel returns it when that process ends, however it does.
"""

from __future__ import annotations

import os
import socket


class CoreBudget:
    """The tokens that this process has, of ``capacity`` on this machine and for this user."""

    def __init__(self, capacity: int, name: str = "") -> None:
        self.capacity = capacity
        self._name = name or f"exaworks-cores-{os.getuid()}"
        self._tokens: dict[int, socket.socket] = {}
        self._turn: socket.socket | None = None
        """Whoever has this socket takes tokens next: a run that needs many is not passed by those that need few."""

    @property
    def held(self) -> int:
        return len(self._tokens)

    def raise_to(self, count: int) -> bool:
        """Have at least ``count`` tokens, or all of them; return False, without any more, if others have them.

        After False the process is the next one in turn, unless another one is.
        """
        wanted = min(count, self.capacity)
        if wanted <= self.held:
            return True
        self._turn = self._turn or self._take("turn")
        if self._turn is None:
            return False
        taken: dict[int, socket.socket] = {}
        for number in range(self.capacity):
            if self.held + len(taken) == wanted:
                break
            if number not in self._tokens and (token := self._take(str(number))) is not None:
                taken[number] = token
        if self.held + len(taken) < wanted:
            for token in taken.values():
                token.close()
            return False
        self._tokens |= taken
        self.leave_turn()
        return True

    def lower_to(self, count: int) -> None:
        """Return the tokens beyond ``count``."""
        while self.held > max(0, count):
            self._tokens.popitem()[1].close()

    def leave_turn(self) -> None:
        """Let another process be the next one: this one waits for no tokens."""
        if self._turn is not None:
            self._turn.close()
            self._turn = None

    def _take(self, what: str) -> socket.socket | None:
        token = socket.socket(socket.AF_UNIX)
        try:
            token.bind(f"\0{self._name}-{what}")
        except OSError:
            token.close()
            return None
        return token
