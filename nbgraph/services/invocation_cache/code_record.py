"""The code part of a cache key as a record: hashes by label, and how two of them differ, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeGuard

from nbgraph.services.invocation_cache.code_facts import DIGEST_BYTES
from nbgraph.services.invocation_cache.code_watch import Watch

OTHER_PARTS = "..."
"""The label of all parts that are not shown by their own."""
CHANGES_SHOWN = 4


@dataclass(eq=False)
class Code:
    """The hashes of everything that a class reaches, by label: a hash as text, or `[value]` for a short plain value.

    `packages` are the versions of the installed ones. `refusal` is the reason why the class cannot be identified by its
    code, "" if it can.
    """

    parts: dict[str, object]
    packages: dict[str, str]
    refusal: str
    watch: Watch

    @property
    def digest(self) -> str:
        """A hash of all parts and packages."""
        whole = repr((sorted(self.parts.items()), sorted(self.packages.items())))
        return blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()

    def changes_since(self, before: "Code") -> str:
        """Describe the differences: `code changed: FACTOR 2 -> 3, scale`; values first."""
        return describe_code(before.parts, self.parts)

    def says_the_same(self, other: "Code") -> bool:
        """Return whether another record is of the same code."""
        mine, others = (self.parts, self.packages, self.refusal), (other.parts, other.packages, other.refusal)
        return repr(mine) == repr(others)


def describe_code(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """Describe the functions, classes and values in which the parts of two codes differ, values first."""
    values: list[str] = []
    others: list[str] = []
    for label in sorted({*before, *after}):
        was, now = before.get(label), after.get(label)
        if _is_value(was) and _is_value(now) and repr(was) != repr(now):
            values.append(f"{label} {was[0]!r} -> {now[0]!r}")
        elif repr(was) != repr(now) and label != OTHER_PARTS:
            others.append(label)
    named = [*values, *others]
    more = ", ..." if len(named) > CHANGES_SHOWN else ""
    return f"code changed: {', '.join(named[:CHANGES_SHOWN])}{more}" if named else "code changed"


def _is_value(part: object) -> TypeGuard[list[object]]:
    """Return whether a part is a short plain value, `[value]`, and no hash."""
    return isinstance(part, list)
