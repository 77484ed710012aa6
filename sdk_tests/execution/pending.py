"""The launch requests that wait until the limits admit them.

Requests are kept in groups of equals: the limits depend on nothing else than what the members of a group share. So one
refusal holds for the rest of its group, and a look at 10,000 waiting requests costs as much as one at ten.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence

from sdk_tests.execution.messages import LaunchRequest

Priority = tuple[bool, float, int]
"""Whether it waits for those that go first; its expected seconds, negative; its number in order of arrival."""
Group = tuple[str, str, int, int, int, bool, str, bool]


class PendingRequests:
    """Orders requests: those marked ``first``, then the longest, so that the run ends soonest, then as they arrived.

    shares: whether a request shares an allocation with the others of as many nodes. Such a group is started whole, and
    is as long as all of its members one after the other. Requests that share a fixture are a group that is as long, and
    is started one by one.
    """

    def __init__(self, shares: Callable[[LaunchRequest], bool]) -> None:
        self._shares = shares
        self._numbers = itertools.count()
        self._groups: dict[Group, list[tuple[Priority, LaunchRequest]]] = {}

    def add(self, requests: Iterable[LaunchRequest]) -> None:
        for request in requests:
            priority = (not request.first, -request.duration, next(self._numbers))
            heapq.heappush(self._groups.setdefault(self._group(request), []), (priority, request))

    def start(self, start: Callable[[Sequence[LaunchRequest]], bool]) -> None:
        """Offer the requests in their order; ``start`` returns False for what the limits do not admit now."""
        heads = [(_priority(group, members), group) for group, members in self._groups.items()]
        heapq.heapify(heads)
        while heads:
            _, group = heapq.heappop(heads)
            shared, members = group[-1], self._groups.pop(group)
            offered = sorted(members) if shared else [heapq.heappop(members)]
            rest = [] if shared else members
            admitted = start([request for _, request in offered])
            added_meanwhile = self._groups.pop(group, [])
            for entry in (*([] if admitted else offered), *added_meanwhile):
                heapq.heappush(rest, entry)
            if rest:
                self._groups[group] = rest
            if rest and admitted and not shared:
                heapq.heappush(heads, (_priority(group, rest), group))

    def remove(self, scheduler: str | None = None) -> list[LaunchRequest]:
        """Remove the requests of one scheduler, or all, and return them in their order."""
        groups = [group for group in self._groups if scheduler in (None, group[0])]
        return [request for _, request in sorted(itertools.chain.from_iterable(map(self._groups.pop, groups)))]

    def fixtures(self) -> set[str]:
        """Return the names of the fixtures that requests wait for beside their schedulers."""
        return {group[-2] for group in self._groups if group[-2]}

    def remove_guests(self, fixture: str) -> list[LaunchRequest]:
        """Remove the requests that wait for a fixture, and return them in their order."""
        groups = [group for group in self._groups if group[-2] == fixture]
        return [request for _, request in sorted(itertools.chain.from_iterable(map(self._groups.pop, groups)))]

    def _group(self, request: LaunchRequest) -> Group:
        if self._shares(request):
            return (request.scheduler, request.where, request.nodes, 0, 0, False, "", True)
        if request.fixture is not None and not request.alone:
            return (request.scheduler, request.where, 0, 0, 0, False, request.fixture.name, False)
        return (request.scheduler, request.where, 0, request.cores, request.jobs, request.alone, "", False)


def _priority(group: Group, members: Sequence[tuple[Priority, LaunchRequest]]) -> Priority:
    """Return the priority of what a group offers next: its first member, or all together if they share something."""
    first = members[0][0]
    if not any(group[-2:]):
        return first
    shared = members[0][1].fixture
    start = shared.start if shared is not None else 0.0
    return (first[0], -sum((request.duration for _, request in members), start), first[2])
