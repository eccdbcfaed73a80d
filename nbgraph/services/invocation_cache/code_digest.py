"""Hash a sequence of values: plain ones by their text, all others by a subclass, within limits of size and number.

Each text is written with its length, so that no two sequences are the same bytes. A value that holds itself is written
as its distance on the path from the first value, so that circles end.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import Protocol

from nbgraph.services.invocation_cache.code_facts import DIGEST_BYTES, constant_text

MOST_BYTES = 64 * 2**20
MOST_VALUES = 100_000
PLAIN = frozenset({int, float, complex, str, bytes, bool, type(None), type(Ellipsis), type(NotImplemented)})


class CannotHash(Exception):
    """A value that cannot be identified by its content; the text names its kind."""


class _CacheInfo(Protocol):
    @property
    def misses(self) -> int: ...

    @property
    def currsize(self) -> int: ...


class CachedFunction(Protocol):
    """A function behind `functools.cache`."""

    __name__: str
    __wrapped__: Callable[..., object]

    def cache_info(self) -> _CacheInfo: ...

    def cache_parameters(self) -> Mapping[str, object]: ...


class HashWriter(ABC):
    """Writes values into one hash; `value` is that of a subclass."""

    def __init__(self) -> None:
        self._digest: blake2b = blake2b(digest_size=DIGEST_BYTES)
        self._written = self._values = 0
        self._path: list[int] = []

    @abstractmethod
    def value(self, value: object) -> None:
        """Write any value.

        Raises
        ------
        CannotHash
            The value cannot be identified by its content, or is too large.
        """

    def write(self, *atoms: str | bytes | int) -> None:
        """Write texts and numbers, each with its length, so that no two sequences of them are the same bytes."""
        for atom in atoms:
            data = atom if isinstance(atom, bytes) else str(atom).encode("utf-8", "surrogatepass")
            self._written += len(data)
            if self._written > MOST_BYTES:
                raise CannotHash(f"more than {MOST_BYTES >> 20} MB")
            self._digest.update(b"%d:" % len(data))
            self._digest.update(data)

    def items(self, name: str, values: Iterable[object]) -> None:
        """Write values in their order, watching nothing."""
        listed = list(values)
        self.write(name, len(listed))
        if PLAIN.issuperset(map(type, listed)):
            self._values += len(listed) // 10
            self.write(b",".join(map(constant_text, listed)))
        else:
            for each in listed:
                self.value(each)

    def pairs(self, name: str, pairs: Iterable[tuple[object, object]]) -> None:
        """Write keys and values in their order, watching nothing."""
        listed = list(pairs)
        self.items(name, [key for key, _ in listed])
        self.items("values", [value for _, value in listed])

    @contextmanager
    def _inside(self, value: object) -> Generator[int | None]:
        """Record that a value is being written.

        Yield its place on the path from the first value if it is there already.
        """
        self._values += 1
        if self._values > MOST_VALUES:
            raise CannotHash(f"more than {MOST_VALUES:,} values")
        place = self._path.index(id(value)) if id(value) in self._path else None
        self._path.append(id(value))
        try:
            yield place
        finally:
            self._path.pop()

    def _check_size(self, size: int) -> None:
        if self._written + size > MOST_BYTES:
            raise CannotHash(f"more than {MOST_BYTES >> 20} MB")
