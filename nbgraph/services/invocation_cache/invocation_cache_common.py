"""Cache entries, and the key material that tells them apart."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from types import CodeType
from typing import Any

from pydantic import BaseModel

from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput
from nbgraph.invocations.fields import ModelField, ResourceField
from nbgraph.services.shared.graph.plan import PlannedNode

ContentOf = Callable[[ResourceField], str]


@dataclass(slots=True)
class CacheEntry:
    """One result: the live output, what its key was made of, and what it names.

    `material` is the JSON the key is a hash of: type, version, code and inputs. `sources` are the keys of the entries
    whose outputs went into it. `bytes` counts the output's JSON and the resources it names; `seconds` is what making it
    took.
    """

    key: bytes
    output: BaseInvocationOutput
    material: str
    node: str
    type: str
    resources: tuple[str, ...]
    sources: tuple[bytes, ...]
    bytes: int
    seconds: float
    created: float
    hits: int = 0

    @property
    def text(self) -> str:
        """The stringified output."""
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


def key_of(material: str) -> bytes:
    """The key: 16 bytes of BLAKE2 over the material, the same in every process."""
    return blake2b(material.encode(), digest_size=16).digest()


class KeyTemplate:
    """The key material of a source node, with places for what arrives over edges; made once, filled for each path.

    Not in the key: id, labels, positions, `is_intermediate`, `use_cache`.
    """

    __slots__ = ("fields", "_text")

    def __init__(self, planned: PlannedNode, content_of: ContentOf) -> None:
        node = planned.node
        arriving = {edge.field for edge in planned.inputs} | {name for name in planned.seeds if node.__dict__[name] is None}
        self.fields = tuple(sorted(arriving))
        parts = []
        for name in sorted(node.inputs()):
            value = "%s" if name in arriving else content_text(node.__dict__[name], content_of).replace("%", "%%")
            parts.append(f'"{name}": {value}')
        head = json.dumps({"type": node.type, "version": node.version, "code": code_fingerprint(type(node))})
        self._text = f'{head[:-1].replace("%", "%%")}, "inputs": {{{", ".join(parts)}}}}}'

    def material(self, contents: tuple[str, ...]) -> str:
        """The material, given the content text of each of `fields`, in their order."""
        return self._text % contents


def content_text(value: Any, content_of: ContentOf) -> str:
    """A value as canonical JSON; resources stand as the hash of their content, not by their names."""
    kind = value.__class__
    if kind is int:
        return int.__repr__(value)

    def plain(item: Any) -> Any:
        if isinstance(item, ResourceField):
            return {"content": content_of(item)}
        if isinstance(item, ModelField):
            return item.content()
        if isinstance(item, BaseModel):
            return {"model": type(item).__name__, **item.__dict__}
        if isinstance(item, set | frozenset):
            return sorted(item)
        raise TypeError(f"a {type(item).__name__} cannot be part of a cache key")

    return json.dumps(value, default=plain, sort_keys=True, ensure_ascii=False)


_fingerprints: dict[type, tuple[CodeType, str]] = {}


def code_fingerprint(cls: type[BaseInvocation]) -> str:
    """A hash of the compiled code of `invoke`, so that editing a node in a cell makes it run again.

    Comments and layout do not count; functions that `invoke` calls do not either: raise the version for those.
    """
    function = getattr(cls, "__wrapped_function__", cls.invoke)
    code = function.__code__
    known = _fingerprints.get(cls)
    if known is None or known[0] is not code:
        digest = blake2b(digest_size=8)
        _digest_code(code, digest.update)
        digest.update(repr((function.__defaults__, function.__kwdefaults__)).encode())
        known = _fingerprints[cls] = (code, digest.hexdigest())
    return known[1]


def _digest_code(code: CodeType, update: Callable[[bytes], None]) -> None:
    waiting = [code]
    while waiting:
        each = waiting.pop()
        update(each.co_code)
        update(repr((each.co_names, each.co_varnames, each.co_freevars)).encode())
        for constant in each.co_consts:
            if isinstance(constant, CodeType):
                waiting.append(constant)
            else:
                update(repr(constant).encode())


def describe_change(old: str, new: str) -> list[str]:
    """What differs between two key materials, a line each: `seed 7 -> 8`."""
    before, after = json.loads(old), json.loads(new)
    lines = [f"{part} changed" for part in ("type", "version", "code") if before.get(part) != after.get(part)]
    for name in sorted({*before["inputs"], *after["inputs"]}):
        was, now = before["inputs"].get(name), after["inputs"].get(name)
        if was != now:
            lines.append(f"{name} {_short(was)} -> {_short(now)}" if _is_plain(was, now) else f"{name} changed")
    return lines


def _is_plain(*values: Any) -> bool:
    return all(not isinstance(value, dict | list) for value in values)


def _short(value: Any, limit: int = 40) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def with_descendants(keys: Iterable[bytes], entries: Iterable[CacheEntry]) -> set[bytes]:
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
