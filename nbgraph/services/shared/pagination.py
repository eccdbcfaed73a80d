"""Pages of a longer list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page, counted from 0, of `total` items, `per_page` on each page."""

    items: Sequence[Item]
    page: int
    per_page: int
    total: int

    @property
    def pages(self) -> int:
        """The number of pages; 0 without items."""
        return -(-self.total // self.per_page)


def page_bounds(page: int, per_page: int) -> tuple[int, int]:
    """Return (offset, limit) of a page.

    Raises
    ------
    ValueError
        `page` is negative, or `per_page` is less than 1.
    """
    if page < 0 or per_page < 1:
        raise ValueError(f"page {page} of {per_page} items is invalid; pages count from 0 and hold at least one item")
    return page * per_page, per_page
