"""Lists in pages: which part of a list an address asks for (``?page=2``), and the links to the parts beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from collector.rendering.base import Facts, Question

T = TypeVar("T")


@dataclass(frozen=True)
class Paging:
    """A part of a list: the number of the page, from 1, and its size; None if the list is not divided."""

    number: int
    size: int | None

    @classmethod
    def of(cls, question: Question, size: int) -> Paging:
        """Read the number of the page; a static copy has each list as a whole."""
        text = question.query.get("page", "")
        number = max(int(text), 1) if text.isascii() and text.isdigit() and len(text) < 7 else 1
        return cls(1, None) if question.static else cls(number, size)

    @property
    def first(self) -> int:
        """The position of the first entry of the page, from 0."""
        return 0 if self.size is None else (self.number - 1) * self.size

    def part(self, entries: Sequence[T]) -> Sequence[T]:
        """Return the entries that are on the page."""
        return entries if self.size is None else entries[self.first : self.first + self.size]

    def facts(self, total: int) -> Facts:
        """Return the number of the page, and of all pages of ``total`` entries."""
        return {"page": self.number, "pages": 1 if self.size is None else max(-(-total // self.size), 1)}


def query_of(question: Question, **changes: str) -> dict[str, str]:
    """Return the query of the address with some values changed; an empty value removes one."""
    kept = {name: value for name, value in question.query.items() if name != "token"}
    return {name: value for name, value in {**kept, **changes}.items() if value}


def pager(question: Question, facts: Facts, *path: str, of: str = "systems") -> dict[str, Any] | None:
    """Return what the pager of a page at ``path`` shows; None if there is only one page. ``of``: what is listed."""
    page, pages = facts["page"], facts["pages"]
    if pages == 1 and page == 1:
        return None
    steps = [(f"Previous {of}", min(page - 1, pages), "prev"), (f"More {of}", page + 1, "next")]
    links = [
        (text, question.link(*path, **query_of(question, page=str(to))), rel)
        for text, to, rel in steps
        if 0 < to <= pages
    ]
    return {"links": links, "page": page, "pages": pages}
