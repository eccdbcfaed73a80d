"""Changes: the messages between two authors of one graph. A document is a flat mapping, a change sets one key of it.

    node    id  ""      {"type": "noise", ...}        a node, with what its class keeps beside the inputs
    input   id  field   {"value": 7} or {"links": [["model", "unet"]]}      what arrives at an input
    option  id  name    True                          use_cache, is_intermediate
    layout  id  name    120.0                         x, y, collapsed, mode
    note    id  ""      {"kind": "frame", ...}        a frame or a comment
    unknown id  ""      {"data": ..., "edges": ...}   a node of a type that is not installed

A change without a value removes its key. Keys name nodes by id, so a change has the same size in any graph.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from nbgraph.widgets.exact_numbers import from_page, to_page

Key = tuple[str, str, str]
Owner = tuple[str, str]
State = dict[Key, Any]
KINDS = ("node", "input", "option", "layout", "note", "unknown")
MAX_CHANGES = 50_000


class _Gone:
    """The value of a change that removes its key."""

    def __repr__(self) -> str:
        return "GONE"


GONE = _Gone()


class Change(NamedTuple):
    """One key of a document gets a value, or is removed (`GONE`)."""

    kind: str
    id: str
    name: str
    value: Any = GONE

    @property
    def key(self) -> Key:
        """The key that changes."""
        return self.kind, self.id, self.name

    @property
    def owner(self) -> Owner:
        """The owner of the key: ("note", id), or ("node", id) for everything else."""
        return ("note" if self.kind == "note" else "node"), self.id

    def to_json(self) -> list[Any]:
        """Return `[kind, id, name, value]` for a page, without the value if the key is removed."""
        return [*self.key] if self.value is GONE else [*self.key, to_page(self.value)]


def read_changes(data: Any) -> list[Change]:
    """Return the changes in a JSON value; `ValueError` says what is wrong with the first bad one."""
    if not isinstance(data, list):
        raise ValueError(f"changes must be a list, not {type(data).__name__}")
    items = cast("list[Any]", data)
    if len(items) > MAX_CHANGES:
        raise ValueError(f"{len(items):,} changes in one edit; at most {MAX_CHANGES:,} are accepted")
    return [_read_change(number, item) for number, item in enumerate(items)]


def _read_change(number: int, data: Any) -> Change:
    item = cast("list[Any]", data) if isinstance(data, list) else []
    if len(item) not in (3, 4) or not all(isinstance(part, str) for part in item[:3]):
        raise ValueError(f"change {number} is not of the form [kind, id, name, value]")
    if item[0] not in KINDS:
        raise ValueError(f"change {number} is of the kind {item[0][:40]!r}; there is: {', '.join(KINDS)}")
    return Change(*item[:3], *map(from_page, item[3:]))


def difference(before: Mapping[Key, Any], after: Mapping[Key, Any]) -> list[Change]:
    """Return the changes from `before` to `after`: first the removed keys, then the new and changed ones."""
    gone = [Change(*key) for key in before if key not in after]
    missing = object()  # None is a value that an input can have
    return gone + [Change(*key, value) for key, value in after.items() if not _same(before.get(key, missing), value)]


def applied(state: Mapping[Key, Any], changes: Iterable[Change]) -> State:
    """Return the state after the changes; the given one is not changed."""
    result = dict(state)
    for change in changes:
        if change.value is GONE:
            result.pop(change.key, None)
        else:
            result[change.key] = change.value
    return result


def merged(changes: Iterable[Change]) -> list[Change]:
    """Return the last change of each key, which has the effect of all of them."""
    return list({change.key: change for change in changes}.values())


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal and of the same type: 1, 1.0 and True are three values."""
    # Python calls them equal, and the canvas would not show that a number became a flag.
    if one.__class__ is not other.__class__ or one != other:
        return False
    if isinstance(one, dict):
        return all(_same(value, other[key]) for key, value in cast("dict[str, Any]", one).items())
    return not isinstance(one, list) or all(map(_same, cast("list[Any]", one), other))
