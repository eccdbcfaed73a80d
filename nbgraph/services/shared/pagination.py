"""Pages of a longer list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page, counted from 0, of `total` items with `per_page` on a page."""

    items: Sequence[Item]
    page: int
    per_page: int
    total: int

    @property
    def pages(self) -> int:
        """How many pages there are; no items make no pages."""
        return -(-self.total // self.per_page)


def page_bounds(page: int, per_page: int) -> tuple[int, int]:
    """(offset, limit) of a page; ValueError for pages that cannot be."""
    if page < 0 or per_page < 1:
        raise ValueError(f"page {page} with {per_page} items cannot be; pages count from 0 and hold at least one item")
    return page * per_page, per_page
