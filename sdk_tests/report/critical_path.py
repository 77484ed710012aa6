"""How long a run had to take: the longest chain of cases and queues under the limits of the machine and the site.

The attempts of a run are placed again, each with the queue wait, launch and run time that it had, but without a gap:
longest first, as soon as the limits admit it. The last one to end, the one that it waited for, and so on back to the
start, are the critical path. A run cannot be much faster with these cases and limits; what it took beyond that is the
harness's own: set-up, gaps, and the end of the run.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sdk_tests.model.timeline import Bar, Limit, Timeline


@dataclass(frozen=True)
class CriticalPath:
    """The critical path of a run. seconds: its length. chain: its parts, first to last. wall: what the run took.

    set_up: how much of that passed before the first case, such as the creation of environments on a first run.
    bound: no order can be shorter, because of the limit or the case that ``reason`` names.
    """

    seconds: float
    chain: tuple[str, ...]
    wall: float
    set_up: float
    bound: float
    reason: str

    def brief(self, most: int) -> str:
        """Return the first cases of the chain, and how many follow."""
        rest = len(self.chain) - most
        return " > ".join(self.chain[:most]) + (f" and {rest} more" if rest > 0 else "")

    @property
    def ratio(self) -> float | None:
        """The time of the run over the critical path; None if nothing ran."""
        return self.wall / self.seconds if self.seconds > 0 else None

    @property
    def ratio_of_cases(self) -> float | None:
        """The time of the run without its set-up over the critical path; None if nothing ran."""
        return (self.wall - self.set_up) / self.seconds if self.seconds > 0 else None


@dataclass
class _Task:
    """What takes a place: an attempt, or all attempts that share a job. after: the attempt that it repeats.

    begin, end: when it was submitted and when it ended, in seconds since the epoch. started, ended: where it is placed.
    """

    name: str
    seconds: float
    uses: Mapping[str, int]
    begin: float = 0.0
    end: float = 0.0
    inner: tuple[str, ...] = ()
    key: object = None
    after: object = None
    started: float = 0.0
    ended: float = 0.0
    waited_for: _Task | None = field(default=None, repr=False)

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(self.uses.items()))


def critical_path(timeline: Timeline) -> CriticalPath | None:
    """Return the critical path of a run; None if no attempt ran."""
    tasks = _tasks(timeline)
    if not tasks:
        return None
    took = max(task.end for task in tasks) - min(task.begin for task in tasks)
    limits = {limit.name: limit.capacity for limit in timeline.limits}
    last = _place(tasks, limits)
    if last.ended > took:  # the order of the run was the better one
        last = _as_it_was(tasks)
    chain: list[str] = []
    task: _Task | None = last
    while task is not None:
        chain[:0] = task.inner or (task.name,)
        task = task.waited_for
    bound, reason = _bound(tasks, timeline.limits)
    return CriticalPath(last.ended, tuple(chain), timeline.seconds, timeline.set_up, min(bound, last.ended), reason)


def _tasks(timeline: Timeline) -> list[_Task]:
    tasks: list[_Task] = []
    shared: dict[str, list[Bar]] = {}
    for bar in timeline.bars:
        if bar.shares:
            shared.setdefault(bar.shares, []).append(bar)
            continue
        before = (bar.case_id, bar.attempt - 1)
        tasks.append(
            _Task(
                bar.case_id,
                bar.ended - bar.submitted,
                bar.uses,
                bar.submitted,
                bar.ended,
                key=(bar.case_id, bar.attempt),
                after=before,
            )
        )
    for name, bars in shared.items():
        tasks.append(_shared_job(bars, timeline.shared_cores.get(name, 1)))
    return tasks


def _shared_job(bars: Sequence[Bar], cores: int) -> _Task:
    """Return a job that attempts shared as one task: its queue and launch, then its attempts in their places."""
    start = min(bar.submitted for bar in bars)
    first = min((bar.started for bar in bars if bar.started is not None), default=start)
    inside = [
        _Task(bar.case_id, bar.ended - (first if bar.started is None else bar.started), {"cores": bar.cores})
        for bar in bars
    ]
    last = _place(inside, {"cores": max(cores, 1)})
    chain: list[str] = []
    task: _Task | None = last
    while task is not None:
        chain.insert(0, task.name)
        task = task.waited_for
    where = f"the {bars[0].fixture}" if bars[0].fixture else f"one job of {bars[0].scheduler}"
    name = f"{len(bars)} cases in {where}"
    end = max(bar.ended for bar in bars)
    seconds = min(first - start + last.ended, end - start)
    return _Task(name, seconds, bars[0].uses, start, end, inner=tuple(chain))


def _as_it_was(tasks: Sequence[_Task]) -> _Task:
    """Return the last task of the run, after what it waited for as it was, without the gaps between them."""
    ordered = sorted(tasks, key=lambda task: task.end)
    ends = [task.end for task in ordered]
    chain = [ordered[-1]]
    place = len(ordered) - 1
    while (place := min(bisect_right(ends, chain[0].begin), place) - 1) >= 0:
        chain.insert(0, ordered[place])
    now, waited_for = 0.0, None
    for task in chain:
        task.started, task.ended, task.waited_for = now, now + task.seconds, waited_for
        now, waited_for = task.ended, task
    return chain[-1]


def _place(tasks: Iterable[_Task], limits: Mapping[str, int]) -> _Task:
    """Start every task as soon as the limits admit it, longest first; return the one that ends last.

    What is larger than a limit starts when nothing else uses that limit, as the supervisor does.
    """
    tasks = sorted(tasks, key=lambda task: -task.seconds)
    known = {task.key for task in tasks if task.key is not None}
    repeated = {task.after: task for task in tasks if task.after in known}
    waiting: dict[tuple[tuple[str, int], ...], deque[_Task]] = {}  # equal tasks need the same places
    for task in tasks:
        if task.after not in known:
            waiting.setdefault(task.places, deque()).append(task)
    used = dict.fromkeys(limits, 0)
    running: list[tuple[float, int, _Task]] = []
    last, now, ended = tasks[0], 0.0, None
    while waiting or running:
        for places in sorted(waiting, key=lambda places: -waiting[places][0].seconds):
            queue = waiting[places]
            while queue and _fits(queue[0], used, limits):
                task = queue.popleft()
                for name, number in places:
                    used[name] = used.get(name, 0) + number
                task.started, task.ended, task.waited_for = now, now + task.seconds, ended
                heapq.heappush(running, (task.ended, id(task), task))
            if not queue:
                del waiting[places]
        now, _, ended = heapq.heappop(running)
        for name, number in ended.places:
            used[name] -= number
        if ended.key in repeated:
            task = repeated.pop(ended.key)
            waiting.setdefault(task.places, deque()).appendleft(task)
        last = ended if ended.ended >= last.ended else last
    return last


def _fits(task: _Task, used: Mapping[str, int], limits: Mapping[str, int]) -> bool:
    return all(
        not used.get(name) or used[name] + number <= limits.get(name, number) for name, number in task.uses.items()
    )


def _bound(tasks: Sequence[_Task], limits: Sequence[Limit]) -> tuple[float, str]:
    """Return what no order can go below: the longest task, or the work for a limit over its capacity."""
    longest = max(tasks, key=lambda task: task.seconds)
    bounds = [(longest.seconds, longest.name)]
    for limit in limits:
        work = sum(min(task.uses.get(limit.name, 0), limit.capacity) * task.seconds for task in tasks)
        bounds.append((work / max(limit.capacity, 1), f"{limit.name}: {limit.capacity} {limit.unit}"))
    return max(bounds)
