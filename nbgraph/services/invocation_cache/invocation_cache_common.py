"""Cache entries, and the key material that tells them apart."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from msgspec import Struct

from nbgraph.invocations.node_output import BaseInvocationOutput
from nbgraph.services.invocation_cache.code_record import describe_code
from nbgraph.texts import shorten

MADE_EARLIER = "its result was made by an earlier version of nbgraph, which told results apart in another way"
MADE_LATER = "its result was made by a later version of nbgraph, which tells results apart in another way"


class CacheRow(Struct):
    """What is known of one result without the result itself.

    `head` and `inputs` together are the material: the key is a hash of the inputs after the hash of the head, and where
    many have the beginning in common the end is apart. `node` is the prepared node that was the first to make the
    result, `sources` are the keys of the entries whose outputs went into it, `seconds` is what making it took. The
    cache fills in the others: `resources` are those the output names, `bytes` counts them and the material, `used`
    grows from one use of the cache to the next.
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
        """The JSON that the key stands for: type, version, code and inputs."""
        return self.head + self.inputs.decode()

    @property
    def text(self) -> str:
        """The stringified output."""
        raise NotImplementedError


class CacheEntry(CacheRow, kw_only=True):
    """One result: the live output, and what is known of it."""

    output: BaseInvocationOutput

    @property
    def text(self) -> str:
        return self.output.model_dump_json()


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """How the cache is doing; `bytes` as the entries count them."""

    size: int
    bytes: int
    hits: int
    misses: int
    enabled: bool
    max_entries: int
    max_bytes: int


def describe_change(old: str, new: str) -> list[str]:
    """Describe what differs between two key materials, a line each: `seed 7 -> 8`, `code changed: FACTOR 2 -> 3`."""
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


def _changed_value(name: str, was: Any, now: Any) -> list[str]:
    """Describe how one input differs: `seed 7 -> 8`, `unet.model.dtype float32 -> bfloat16`."""
    if json.dumps(was) == json.dumps(now):
        return []
    was, now = _within(was, now)
    if _is_plain(was, now):
        return [f"{name} {_short(was)} -> {_short(now)}"]
    if _is_model(was) and _is_model(now) and was["model"] == now["model"]:
        parts = sorted({*was, *now})
        return [
            f"{name}.{part} {_shown(was, part)} -> {_shown(now, part)}"
            for part in parts
            if was.get(part) != now.get(part)
        ]
    if isinstance(was, dict) and isinstance(now, dict):
        before, after = cast(dict[str, Any], was), cast(dict[str, Any], now)
        if before.keys() == after.keys() and "is" not in before:
            return [line for part in before for line in _changed_value(f"{name}.{part}", before[part], after[part])]
    return [f"{name} changed"]


def _is_model(value: Any) -> bool:
    """Return whether a value is the content of a model: its fingerprint, and how it is loaded."""
    return isinstance(value, dict) and isinstance(cast(dict[str, Any], value).get("model"), str)


def _within(*values: Any) -> list[Any]:
    """The values without their class where that is told beside them, as for a path, if so they still differ."""
    found: list[Any] = [
        value["value"] if isinstance(value, dict) and {"is", "value"} <= value.keys() else value for value in values
    ]
    return found if found[0] != found[1] else list(values)


def _shown(content: dict[str, Any], part: str) -> str:
    """Return one part of the content of a model as text: words as they are."""
    value = content.get(part)
    return value if isinstance(value, str) else _short(value)


def _is_plain(*values: Any) -> bool:
    return all(not isinstance(value, dict | list) for value in values)


def _short(value: Any, limit: int = 40) -> str:
    return shorten(json.dumps(value, ensure_ascii=False), limit)


def with_descendants(keys: Iterable[bytes], entries: Iterable[CacheRow]) -> set[bytes]:
    """These keys and the keys of everything that was computed from them."""
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
