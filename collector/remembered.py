"""Remember the results of a function of texts that clients sent, however large the texts are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")
Text = str | bytes | None


def remembered(capacity: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Return a decorator like ``functools.lru_cache`` that counts the length of the arguments instead of the calls.

    The arguments of all results that are kept have together at most ``capacity`` characters or bytes. A cache of so
    many results could be filled with texts of many megabytes each.
    """

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        kept: OrderedDict[tuple[Text, ...], T] = OrderedDict()
        used, lock = 0, Lock()

        @wraps(function)
        def call(*texts: Text) -> T:
            nonlocal used
            with lock:
                if texts in kept:
                    kept.move_to_end(texts)
                    return kept[texts]
            result = function(*texts)
            with lock:
                if texts not in kept:
                    kept[texts] = result
                    used += _length(texts)
                while used > capacity:
                    used -= _length(kept.popitem(last=False)[0])
            return result

        return call

    return decorate


def _length(texts: tuple[Any, ...]) -> int:
    return sum(len(text) for text in texts if text is not None)
