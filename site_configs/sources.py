"""The public pages that a site file cites: which value is from which page, and how old that knowledge is.

A *fact* is a value of the file that the machine's facility decides and that a source cites by its key. A key in
``facts`` covers everything below it (``node``, ``schedulers.queues``), in every entry of a list or in one
(``schedulers[1]``). If several sources cover a value, the longest key counts; of equally long ones all count.

The age of a fact is counted from ``as_of``, the state in which its page was read: a page that was read in a stored copy
is as old as the copy. Without ``as_of`` the age is unknown, which counts as old.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from site_configs.document import Key, Problem, dotted
from site_configs.schema import Source, State, System

OLD_AFTER = 180
"""Days after which a fact has to be compared with its page again."""

OWN = tuple(
    """
    system description state owner testbeds local limits deployment deployment_if_installed promises allowed_skips
    collector redaction cadence stale_after waivers references sources extras spack_host runner.executor detect.match
    schedulers.name schedulers.nested schedulers.within schedulers.default_queue schedulers.multi_node_queue
    schedulers.account_env schedulers.status_interval schedulers.max_jobs schedulers.default_nodes
    schedulers.job_unknown_limit schedulers.result_grace schedulers.emulated schedulers.reservation
    ci.trigger ci.infra ci.timeout ci.package_jobs ci.collector_token ci.lanes ci.variables
    """.split()  # noqa: SIM905
)
"""Keys that the writer of a file decides, so that no page states them; a source may cite one by its own key."""

_PART = re.compile(r"([A-Za-z_]\w*)(?:\[(\d+)\])?")


@dataclass(frozen=True)
class Fact:
    """A value of a site file and the sources that cite it: positions in ``sources`` of the file, none if uncited."""

    key: Key
    value: Any
    sources: tuple[int, ...]

    @property
    def name(self) -> str:
        """The key as people write it, such as ``node.cores``."""
        return dotted(self.key)


def facts(values: Any, sources: list[Source]) -> list[Fact]:
    """Return every value that a source cites, and every other one that is not in ``OWN``, in the file's order.

    values: the plain values of a site file, as ``document.read`` returns them.
    """
    found = []
    for key, value in _leaves(values, ()):
        ranks = {
            place: max(filter(None, (_rank(pattern, key) for pattern in source.facts)), default=None)
            for place, source in enumerate(sources)
        }
        best = max(filter(None, ranks.values()), default=None)
        own = max(filter(None, (_rank(pattern, key) for pattern in OWN)), default=None)
        if own is not None and (best is None or own[0] > best[0]):
            continue
        cited = tuple(place for place, rank in ranks.items() if rank is not None and rank == best)
        found.append(Fact(key, value, cited))
    return found


def age(source: Source, today: datetime.date) -> int | None:
    """Return how many days ago the page of a source had the state that was read; None if that is not known."""
    return (today - datetime.date.fromisoformat(source.as_of)).days if source.as_of else None


def is_old(source: Source, today: datetime.date, days: int = OLD_AFTER) -> bool:
    """Return whether the facts of a source have to be compared with its page again."""
    known = age(source, today)
    return known is None or known > days


def problems(system: System, values: Any, today: datetime.date | None) -> Iterator[Problem]:
    """Yield keys that the file does not have, and impossible dates; without ``today`` no date is in the future."""
    keys = [key for key, _ in _leaves(values, ())]
    for place, source in enumerate(system.sources):
        where: Key = ("sources", place)
        if not source.facts:
            yield Problem((*where, "facts"), "the list is empty: name the keys whose values the page states")
        for index, pattern in enumerate(source.facts):
            at: Key = (*where, "facts", index)
            if _parts(pattern) is None:
                yield Problem(
                    at, f"{pattern!r} is not a key, such as node.cores, schedulers.queues, schedulers[1].start"
                )
            elif not any(_rank(pattern, key) for key in keys):
                yield Problem(at, f"the file has no value {pattern}: correct the key, or remove it here")
        dates = {}
        for field in msgspec.structs.fields(Source):
            text = getattr(source, field.name)
            if field.name not in ("changed", "as_of", "checked") or text is None:
                continue
            try:
                dates[field.name] = datetime.date.fromisoformat(text)
            except ValueError:
                yield Problem((*where, field.name), f"{text} is not a calendar date")
                continue
            if today is not None and dates[field.name] > today + datetime.timedelta(days=1):  # time zones
                yield Problem((*where, field.name), f"{text} is in the future")
        for earlier, later in (("changed", "as_of"), ("as_of", "checked"), ("changed", "checked")):
            if earlier in dates and later in dates and dates[earlier] > dates[later]:
                message = f"{dates[earlier]} is after {later}: a page cannot be read before it has that state"
                yield Problem((*where, earlier), message)
                break


def warning(system: System, values: Any, today: datetime.date) -> str | None:
    """Return a warning that counts the old facts; None if there are none, or the system is retired."""
    if system.state is State.RETIRED:
        return None
    cited = [fact for fact in facts(values, system.sources) if fact.sources]
    old = [fact for fact in cited if any(is_old(system.sources[place], today) for place in fact.sources)]
    if not old:
        return None
    unknown = sum(any(not system.sources[place].as_of for place in fact.sources) for fact in old)
    text = f"{len(old)} of {len(cited)} facts were read more than {OLD_AFTER} days ago"
    text += f", or in an undated copy ({unknown})" if unknown else ""
    return f"{text}: exaworks sites refresh {system.system} --old"


def _leaves(value: Any, key: Key) -> Iterator[tuple[Key, Any]]:
    """Yield every value that is no mapping and no list of mappings; a list of plain values is one value."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, (*key, name))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*key, index))
    elif key and value not in (None, [], {}):
        yield key, value


def _parts(pattern: str) -> list[tuple[str, int | None]] | None:
    """Return the parts of a key, each with its list position if it has one; None if the text is no key."""
    matches = [_PART.fullmatch(part) for part in pattern.split(".")]
    if not all(matches):
        return None
    return [(match[1], int(match[2]) if match[2] else None) for match in matches if match]


def _rank(pattern: str, key: Key) -> tuple[int, int] | None:
    """Return how exactly a pattern covers a key, as its number of parts and of list positions; None: not at all."""
    rest = list(key)
    parts = _parts(pattern) or []
    for name, index in parts:
        if not rest or rest.pop(0) != name:
            return None
        if rest and isinstance(rest[0], int):
            if index is not None and rest[0] != index:
                return None
            rest.pop(0)
        elif index is not None:
            return None
    return (len(parts), sum(index is not None for _, index in parts)) if parts else None
