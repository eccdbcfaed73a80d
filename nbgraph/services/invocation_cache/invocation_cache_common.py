"""Cache entries, and the key material that tells them apart."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from operator import itemgetter
from types import CodeType, FunctionType
from typing import Any

from msgspec import Struct

from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput

KEY_BYTES = 16
FORMAT = 2
"""How values are written into keys; another number for another way, so that keys of the two never meet."""


class CacheRow(Struct):
    """What is known of one result without the result itself.

    `head` and `inputs` together are the material: the key is a hash of it, and where many have its beginning in common
    its end is apart. `node` is the prepared node that was the first to make the result, `sources` are the keys of the
    entries whose outputs went into it, `seconds` is what making it took. The cache fills in the others: `resources` are
    those the output names, `bytes` counts them and the material, `used` grows from one use of the cache to the next.
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
    def material(self) -> str:
        """The JSON the key is a hash of: type, version, code and inputs."""
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


def key_of(material: str) -> bytes:
    """The key: 16 bytes of BLAKE2 over the material, the same in every process."""
    return blake2b(material.encode(), digest_size=KEY_BYTES).digest()


class KeyTemplate:
    """The key material of a node type, up to the content of its inputs; made once for a class.

    Not in the key: id, labels, positions, `is_intermediate`, `use_cache`.
    """

    __slots__ = ("begin_hash", "head", "pick")

    def __init__(self, cls: type[BaseInvocation]) -> None:
        names = sorted(cls.inputs())
        self.pick = _picker(names)
        of_class = {"type": cls.type, "version": cls.version, "code": code_fingerprint(cls), "names": names}
        head = json.dumps({"format": FORMAT, **of_class})
        self.head = f'{head[:-1]}, "inputs": '
        self.begin_hash = blake2b(self.head.encode(), digest_size=KEY_BYTES).copy

    def material(self, inputs: bytes) -> str:
        """The material, given the end of it that `Contents.key` makes."""
        return self.head + inputs.decode()


def _picker(names: list[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """What gives the values of these names, in their order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple([values[name] for name in names])


_fingerprints: dict[type, tuple[CodeType, str]] = {}


def code_fingerprint(cls: type[BaseInvocation]) -> str:
    """A hash of the compiled code of `invoke`, or of the function a node is made of, with what it encloses.

    So editing a node in a cell makes it run again. Comments and layout do not count; functions that it calls by a
    global name do not either: raise the version for those.
    """
    function = cls.__wrapped_function__ or cls.invoke
    known = _fingerprints.get(cls)
    if known is None or known[0] is not function.__code__:
        digest = blake2b(digest_size=8)
        _digest_function(function, digest.update)
        if cls.invoke_batch is not BaseInvocation.invoke_batch:
            _digest_function(getattr(cls.invoke_batch, "__func__", cls.invoke_batch), digest.update)
        known = _fingerprints[cls] = (function.__code__, digest.hexdigest())
    return known[1]


def _digest_function(function: FunctionType, update: Callable[[bytes], None]) -> None:
    """Code, defaults and enclosed functions and constants; other enclosed objects count by their type alone."""
    waiting: list[Any] = [function]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, FunctionType):
            if id(each) not in seen:
                seen.add(id(each))
                _digest_code(each.__code__, update)
                update(repr((each.__defaults__, each.__kwdefaults__)).encode())
                waiting.extend(_enclosed(each))
        elif isinstance(each, int | float | complex | str | bytes | tuple | frozenset | None):
            update(_constant_text(each).encode())
        else:
            update(type(each).__qualname__.encode())


def _enclosed(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue


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
                update(_constant_text(constant).encode())


def _constant_text(constant: Any) -> str:
    """The constant as text, the same in every process: the order of a set is not."""
    return repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant)


def describe_change(old: str, new: str) -> list[str]:
    """What differs between two key materials, a line each: `seed 7 -> 8`."""
    before, after = json.loads(old), json.loads(new)
    lines = [f"{part} changed" for part in ("format", "type", "version", "code") if before.get(part) != after.get(part)]
    old_inputs, new_inputs = _inputs_by_name(before), _inputs_by_name(after)
    for name in sorted({*old_inputs, *new_inputs}):
        was, now = old_inputs.get(name), new_inputs.get(name)
        if was != now:
            was, now = _within(was, now)
            lines.append(f"{name} {_short(was)} -> {_short(now)}" if _is_plain(was, now) else f"{name} changed")
    return lines


def _inputs_by_name(material: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a key material; folders of earlier versions have them by name already."""
    inputs = material["inputs"]
    return inputs if isinstance(inputs, dict) else dict(zip(material["names"], inputs))


def _within(*values: Any) -> list[Any]:
    """The values without their class where that is told beside them, as for a path, if so they still differ."""
    found = [
        value["value"] if isinstance(value, dict) and value.keys() == {"is", "value"} else value for value in values
    ]
    return found if found[0] != found[1] else list(values)


def _is_plain(*values: Any) -> bool:
    return all(not isinstance(value, dict | list) for value in values)


def _short(value: Any, limit: int = 40) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 3] + "..."


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
