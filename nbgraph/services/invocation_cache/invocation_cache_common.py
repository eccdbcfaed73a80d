"""Cache entries, and the key sources that distinguish them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Struct
from pydantic import JsonValue

from nbgraph.invocations.node_output import BaseInvocationOutput
from nbgraph.services.invocation_cache.code_record import describe_code
from nbgraph.texts import shorten

MADE_EARLIER = "its result was made by an earlier version of nbgraph, which distinguished results in another way"
MADE_LATER = "its result was made by a later version of nbgraph, which distinguishes results in another way"


class StoredKeys(NamedTuple):
    """Keys of a cache, in the order in which they were stored: all of them, or those that came since another reading.

    `mark` is what `keys_after` needs to continue from here.
    """

    mark: tuple[int, int]
    keys: list[bytes]
    are_all: bool


class CacheRow(Struct):
    """Everything about one result but the result itself.

    `head` and `inputs` together are the key source: the key is a hash of the inputs after the hash of the head. They
    are apart because many entries share a head. `node` is the prepared node that first made the result, `sources` are
    the keys of the entries it was computed from, `seconds` is the time it took. The cache fills in the others:
    `resources` are those the output names, `bytes` counts them and the key source, `used` grows from one use of the
    cache to the next.
    """

    key: bytes
    node: str
    type: str
    head: str
    inputs: bytes = b""
    sources: tuple[bytes, ...] = ()
    seconds: float = 0.0
    resources: tuple[str, ...] = ()
    bytes: int = 0
    created: float = 0.0
    hits: int = 0
    used: int = 0

    @property
    def key_source(self) -> str:
        """The JSON whose hash is the key: type, version, code and inputs."""
        return self.head + self.inputs.decode()

    @property
    def text(self) -> str:
        """The output as JSON."""
        raise NotImplementedError


class CacheEntry(CacheRow, kw_only=True):
    """One result: the live output, and its row."""

    output: BaseInvocationOutput

    @property
    def text(self) -> str:
        return self.output.model_dump_json()


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """Sizes, limits and counts of the cache; `bytes` as the entries count them."""

    size: int
    bytes: int
    hits: int
    misses: int
    enabled: bool
    max_entries: int
    max_bytes: int


def describe_change(old: str, new: str) -> list[str]:
    """Describe how two key sources differ, one line for each: `seed 7 -> 8`, `code changed: FACTOR 2 -> 3`."""
    before, after = json.loads(old), json.loads(new)
    was, now = before.get("format", 0), after.get("format", 0)
    if was != now:
        return [MADE_EARLIER if was < now else MADE_LATER]
    lines = [f"{part} {before[part]} -> {after[part]}" for part in ("type", "version") if before[part] != after[part]]
    lines += _changed_packages(before["packages"], after["packages"])
    if json.dumps(before["code"]) != json.dumps(after["code"]):
        lines.append(describe_code(before["code"], after["code"]))
    old_inputs, new_inputs = (dict(zip(each["names"], each["inputs"])) for each in (before, after))
    for name in sorted({*old_inputs, *new_inputs}):
        lines += _changed_value(name, old_inputs.get(name), new_inputs.get(name))
    return lines


def _changed_packages(before: dict[str, str], after: dict[str, str]) -> list[str]:
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return [f"{name} {before.get(name, '(not used)')} -> {after.get(name, '(not used)')}" for name in names]


def _changed_value(name: str, was: JsonValue, now: JsonValue) -> list[str]:
    """Describe how one input differs: `seed 7 -> 8`, `unet.model.dtype float32 -> bfloat16`."""
    if json.dumps(was) == json.dumps(now):
        return []
    before, after = _within(was, now)
    if _is_plain(before, after):
        return [f"{name} {_short(before)} -> {_short(after)}"]
    if isinstance(before, dict) and isinstance(after, dict):
        if _is_model(before) and _is_model(after) and before["model"] == after["model"]:
            return [
                f"{name}.{part} {_shown(before, part)} -> {_shown(after, part)}"
                for part in sorted({*before, *after})
                if before.get(part) != after.get(part)
            ]
        if before.keys() == after.keys() and "is" not in before:
            return [line for part in before for line in _changed_value(f"{name}.{part}", before[part], after[part])]
    return [f"{name} changed"]


def _is_model(value: dict[str, JsonValue]) -> bool:
    """Return whether a value is the content of a model: its fingerprint, and how it is loaded."""
    return isinstance(value.get("model"), str)


def _within(*values: JsonValue) -> list[JsonValue]:
    """Return the values without their class, as for a path, if they still differ then."""
    found = [
        value["value"] if isinstance(value, dict) and {"is", "value"} <= value.keys() else value for value in values
    ]
    return found if found[0] != found[1] else list(values)


def _shown(content: dict[str, JsonValue], part: str) -> str:
    """Return one part of the content of a model as text: words as they are."""
    value = content.get(part)
    return value if isinstance(value, str) else _short(value)


def _is_plain(*values: JsonValue) -> bool:
    return all(not isinstance(value, dict | list) for value in values)


def _short(value: JsonValue, limit: int = 40) -> str:
    return shorten(json.dumps(value, ensure_ascii=False), limit)


def with_descendants(keys: Iterable[bytes], entries: Iterable[CacheRow]) -> set[bytes]:
    """Return these keys and the keys of everything that was computed from them."""
    children: dict[bytes, list[bytes]] = {}
    for entry in entries:
        for source in entry.sources:
            children.setdefault(source, []).append(entry.key)
    found: set[bytes] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(children.get(key, ()))
    return found
