"""Values that code reaches, written into a hash by their types and contents.

Equal values give equal bytes in every process: no addresses, no order of sets, no text an object chose to show itself
by. Instances are their class and their attributes; those of installed classes that describe themselves to `copyreg`
are that description. What cannot be written raises `CannotHash`: open files, locks, generators and the like, and what
is larger than `MOST_BYTES` or has more than `MOST_VALUES` parts.
"""

import copyreg
import functools
import sys
import types
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from hashlib import blake2b
from inspect import getattr_static
from logging import Logger
from operator import attrgetter, itemgetter, methodcaller
from pathlib import PurePath
from re import Pattern
from types import FunctionType, MethodType, ModuleType
from typing import Any
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from nbgraph.services.invocation_cache.code_facts import DIGEST_BYTES, constant_text
from nbgraph.services.invocation_cache.code_packages import is_own
from nbgraph.services.invocation_cache.code_watch import MISSING, Watch

MOST_BYTES = 64 * 2**20
MOST_VALUES = 100_000
PLAIN = frozenset({int, float, complex, str, bytes, bool, type(None), type(Ellipsis), type(NotImplemented)})
BARE = frozenset({object, list, dict, set, frozenset, tuple, str, bytes, int, float, complex, BaseModel, Enum})
"""Bases that keep nothing but what is written of every instance."""
STABLE: tuple[Any, ...] = (Pattern, date, time, timedelta, tzinfo, Decimal, Fraction, UUID, PurePath, Logger)
STABLE += (attrgetter, itemgetter, methodcaller, range, types.GenericAlias, types.UnionType)
"""Classes whose instances do not change, or not in what counts: described once, not at each look."""
STABLE_MODULES = {"typing", "dataclasses", "annotated_types", "pydantic.types", "pydantic.functional_validators"}
DERIVED_MODULES = {"pydantic_core._pydantic_core", "pydantic.plugin._schema_validator"}
"""Modules whose objects are made of a class that counts itself, and hold addresses."""
FIELD_PARTS = ("annotation", "default", "default_factory", "alias", "validation_alias", "serialization_alias")
FIELD_PARTS += ("metadata", "discriminator", "frozen", "validate_default", "init", "init_var", "kw_only", "exclude")
"""What makes a pydantic field what it is; titles and descriptions do not."""
_CONTAINERS = (list, tuple, dict, set, frozenset, str, bytes, int, float, complex)
_C_METHODS = (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)
_C_METHODS += (types.GetSetDescriptorType, types.MemberDescriptorType)


class CannotHash(Exception):
    """A value that cannot be told apart from others like it by what is in it; the text names its kind."""


class ValueWriter:
    """Writes values into one hash. Functions, classes and modules are written by who inherits from this."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._written = self._values = 0
        self._path: list[int] = []

    def function(self, function: FunctionType) -> None:
        """Write a function."""
        raise NotImplementedError

    def cls(self, cls: type) -> None:
        """Write a class."""
        raise NotImplementedError

    def module(self, module: ModuleType) -> None:
        """Write a module that is used as a value."""
        raise NotImplementedError

    def installed(self, module_name: str | None) -> None:
        """Note that compiled code of a module is reached; `CannotHash` if that is no installed one."""

    def remembering(self, function: Any) -> None:
        """Note that a function behind `functools.cache` is reached."""

    def write(self, *atoms: str | bytes | int) -> None:
        """Write texts and numbers, each with its length, so that no two sequences of them are the same bytes."""
        for atom in atoms:
            data = atom if isinstance(atom, bytes) else str(atom).encode("utf-8", "surrogatepass")
            self._written += len(data)
            if self._written > MOST_BYTES:
                raise CannotHash(f"more than {MOST_BYTES >> 20} MB")
            self._digest.update(b"%d:" % len(data))
            self._digest.update(data)

    def value(self, value: Any) -> None:
        """Write any value; `CannotHash` if it cannot be."""
        kind = type(value)
        if kind in PLAIN:
            self._check_size(len(value) if kind in (str, bytes) else 0)
            self.write(constant_text(value))
        elif kind is FunctionType:
            self.function(value)
        elif isinstance(value, type):
            self.cls(value)
        elif isinstance(value, ModuleType):
            self.module(value)
        else:
            with self._inside(value) as place:
                if place is None:
                    self._compound(value, kind)
                else:
                    self.write("again", place)

    @contextmanager
    def _inside(self, value: Any) -> Any:
        """Note that a value is being written; give how far up it is if it is already."""
        self._values += 1
        if self._values > MOST_VALUES:
            raise CannotHash(f"more than {MOST_VALUES:,} values")
        place = self._path.index(id(value)) if id(value) in self._path else None
        self._path.append(id(value))
        try:
            yield place
        finally:
            self._path.pop()

    def _compound(self, value: Any, kind: type) -> None:
        write = _WRITERS.get(kind)
        if write is not None:
            write(self, value)
        elif isinstance(value, Enum):
            self.write("enum", str(value.name))
            self.value(value.value)
            self.cls(kind)
        elif isinstance(value, _C_METHODS):
            self.write(
                "method of C", f"{value.__objclass__.__module__}.{value.__objclass__.__qualname__}", value.__name__
            )
        elif isinstance(value, BaseModel):
            self._model(value)
        elif _is_from("numpy", value, "ndarray"):
            self._array(value)
        elif _is_from("torch", value, "Tensor"):
            self._tensor(value)
        elif kind.__module__ in DERIVED_MODULES:
            self.write("derived", kind.__qualname__)
        else:
            self._instance(value, kind)

    def items(self, name: str, values: Iterable[Any]) -> None:
        """Write values in their order, watching nothing."""
        listed = list(values)
        self.write(name, len(listed))
        if PLAIN.issuperset(map(type, listed)):
            self._values += len(listed) // 10
            self.write(b",".join(map(constant_text, listed)))
        else:
            for each in listed:
                self.value(each)

    def pairs(self, name: str, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Write keys and values in their order, watching nothing."""
        listed = list(pairs)
        self.items(name, [key for key, _ in listed])
        self.items("values", [value for _, value in listed])

    def _list(self, value: Any) -> None:
        if type(value) is not tuple:
            self.watch.items(value)
        self.items(type(value).__name__, value)

    def _set(self, value: Any) -> None:
        """Write the hash of each item, sorted: a set has no order."""
        if type(value) is set:
            self.watch.items(value)
        hashes = []
        for each in value:
            whole, self._digest = self._digest, blake2b(digest_size=DIGEST_BYTES)
            try:
                self.value(each)
                hashes.append(self._digest.digest())
            finally:
                self._digest = whole
        self.write(type(value).__name__, len(hashes), *sorted(hashes))

    def _dict(self, value: Any) -> None:
        self.watch.mapping(value)
        self.pairs(type(value).__name__, value.items())
        self.value(getattr(value, "default_factory", None))

    def _method(self, value: MethodType) -> None:
        self.write("method")
        self.value(value.__func__)
        self.value(value.__self__)

    def _builtin(self, value: Any) -> None:
        owner = value.__self__
        self.write("builtin", value.__qualname__)
        if owner is None or isinstance(owner, ModuleType):
            self.write(value.__module__ or "")
            self.installed(value.__module__)
        else:
            self.value(owner)

    def _descriptor(self, value: Any) -> None:
        self.write(type(value).__name__)
        if isinstance(value, property):
            self.items("property", (value.fget, value.fset, value.fdel))
        elif isinstance(value, functools.cached_property):
            self.value(value.func)
        else:
            self.value(value.__func__)

    def _partial(self, value: Any) -> None:
        self.write("partial")
        self.items("call", (value.func, value.args, value.keywords, vars(value)))

    def _cached_function(self, value: Any) -> None:
        """Write a function behind `functools.cache`; what it remembers is made of its code and what that reaches."""
        self.remembering(value)
        self.write("cached function")
        self.items("wrapped", (value.__wrapped__, value.cache_parameters()))

    def _buffer(self, value: Any) -> None:
        self.write(type(value).__name__, getattr(value, "typecode", ""), bytes(value))
        self._watch_content(value, bytes)

    def _slice(self, value: Any) -> None:
        self.items("slice", (value.start, value.stop, value.step))

    def _variable(self, value: Any) -> None:
        self.items("type variable", (value.__name__, value.__bound__, value.__constraints__))

    def _reference(self, value: typing.ForwardRef) -> None:
        self.write("forward reference", value.__forward_arg__)

    def _field(self, value: FieldInfo) -> None:
        self.write("field")
        self.items("parts", [getattr(value, name, None) for name in FIELD_PARTS])

    def _model(self, value: BaseModel) -> None:
        self.cls(type(value))
        self.watch.mapping(vars(value))
        self.pairs("fields", sorted(vars(value).items()))
        self.items("more", (value.__pydantic_extra__, value.__pydantic_private__, value.__pydantic_fields_set__))

    def _adapter(self, value: Any) -> None:
        self.items("adapter", (value._type, value._config))

    def _array(self, value: Any) -> None:
        self._check_size(value.nbytes)
        self.write("array", type(value).__qualname__, repr(value.dtype.descr if value.dtype.names else value.dtype.str))
        self.items("shape", value.shape)
        if value.dtype.hasobject:
            self.value(value.tolist())
            self._watch_content(value, snapshot)
        else:
            self.write(value.tobytes())
            self._watch_content(value, _array_snapshot)

    def _tensor(self, value: Any) -> None:
        self._check_size(value.numel() * value.element_size())
        self.write("tensor", type(value).__qualname__, str(value.dtype), str(value.layout), value.device.type)
        self.items("shape", tuple(value.shape))
        try:
            plain = value.detach().cpu().contiguous().reshape(-1).view(sys.modules["torch"].uint8)
            self.write(plain.numpy().tobytes())
        except (RuntimeError, TypeError, NotImplementedError):
            raise CannotHash(_named(value)) from None
        self._watch_content(value, snapshot)

    def _check_size(self, size: int) -> None:
        if self._written + size > MOST_BYTES:
            raise CannotHash(f"more than {MOST_BYTES >> 20} MB")

    def _instance(self, value: Any, kind: type) -> None:
        """Write the attributes of an instance, or what an installed class has to say of it, or both."""
        self.write("instance")
        self.cls(kind)
        installed = [base for base in kind.__mro__ if base not in BARE and not is_own(base)]
        if installed and _describes_itself(kind):
            self._described(value, kind)
        elif not _describes_itself(kind):
            _reduced(value)  # fails for what keeps more in C than attributes tell
        if is_own(kind) or not _describes_itself(kind):
            for base in _CONTAINERS:
                if isinstance(value, base):
                    self._contained(value, base)
            self._attributes(value, kind)

    def _contained(self, value: Any, base: Any) -> None:
        """Write what an instance of a class made from a list, a text and so on is as such."""
        if base is dict:
            self.watch.mapping(value)
            self.pairs("dict", dict.items(value))
        elif base in (set, frozenset):
            self._set(base(value))
            self.watch.items(value)
        elif base in (list, tuple):
            self.watch.items(value)
            self.items(base.__name__, base.__iter__(value))
        else:
            self.write(constant_text(base.__getnewargs__(value)))

    def _attributes(self, value: Any, kind: type) -> None:
        watch = Watch() if _is_stable(value) else self.watch
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict):
            watch.mapping(attributes)
            self.pairs("attributes", sorted(attributes.items()))
        for name in copyreg._slotnames(kind):  # type: ignore[attr-defined]
            held = watch.slot(value, name)
            if held is not MISSING:
                self.write("slot", name)
                self.value(held)

    def _described(self, value: Any, kind: type) -> None:
        description = _reduced(value)
        if isinstance(description, str):
            self.write("global", kind.__module__, getattr(value, "__module__", None) or "", description)
            return
        maker, arguments, state, listed, keyed = (*description, None, None, None)[:5]
        self.items("description", (maker, arguments))
        self.value(state)
        self.items("items", listed or ())
        self.pairs("keys", keyed or ())
        if not _is_stable(value):
            self._watch_content(value, snapshot)

    def _watch_content(self, value: Any, snapshot: Callable[[Any], Any]) -> None:
        self.watch.content(value, snapshot)


class _Snapshot(ValueWriter):
    """Hashes a value within this process, by the identity of functions, classes and modules."""

    def function(self, function: FunctionType) -> None:
        self.write("function", id(function))

    def cls(self, cls: type) -> None:
        self.write("class", id(cls))

    def module(self, module: ModuleType) -> None:
        self.write("module", id(module))

    def _watch_content(self, value: Any, snapshot: Callable[[Any], Any]) -> None:
        """Watch nothing: this hash is what is watched."""

    def digest(self) -> bytes:
        return self._digest.digest()


def snapshot(value: Any) -> bytes:
    """Return a hash of what is in a value now, to be compared in this process only."""
    writer = _Snapshot(Watch())
    writer.value(value)
    return writer.digest()


def _array_snapshot(value: Any) -> Any:
    return value.dtype, value.shape, blake2b(value.tobytes()).digest()


def _is_stable(value: Any) -> bool:
    return isinstance(value, STABLE) or type(value).__module__ in STABLE_MODULES


_DESCRIPTOR_KINDS: tuple[type, ...] = (staticmethod, classmethod, property, functools.cached_property)
_LISTED: tuple[type, ...] = (list, tuple, deque)
_MAPPED: tuple[type, ...] = (dict, OrderedDict, defaultdict, Counter, types.MappingProxyType)
_WRITERS: dict[type, Callable[[ValueWriter, Any], None]] = {
    **dict.fromkeys(_LISTED, ValueWriter._list),
    **dict.fromkeys(_MAPPED, ValueWriter._dict),
    **dict.fromkeys((set, frozenset), ValueWriter._set),
    **dict.fromkeys(_DESCRIPTOR_KINDS, ValueWriter._descriptor),
    **dict.fromkeys((bytearray, memoryview), ValueWriter._buffer),
    types.CodeType: lambda writer, value: writer.write(constant_text(value)),
    MethodType: ValueWriter._method,
    types.BuiltinFunctionType: ValueWriter._builtin,
    types.MethodWrapperType: ValueWriter._builtin,
    functools.partial: ValueWriter._partial,
    type(functools.lru_cache(len)): ValueWriter._cached_function,
    slice: ValueWriter._slice,
    typing.ForwardRef: ValueWriter._reference,
    typing.TypeVar: ValueWriter._variable,
    FieldInfo: ValueWriter._field,
    TypeAdapter: ValueWriter._adapter,
}


if sys.version_info >= (3, 12):
    _WRITERS[typing.TypeAliasType] = lambda writer, value: writer.items("alias", (value.__name__, value.__value__))


def _is_from(package: str, value: Any, name: str) -> bool:
    """Return whether a value is an instance of a class of a package, which is not imported for this."""
    module = sys.modules.get(package)
    cls = getattr_static(module, name, None) if module is not None else None
    return isinstance(cls, type) and isinstance(value, cls)


def _describes_itself(kind: type) -> bool:
    """Return whether a class says by itself how its instances are made anew."""
    if kind in copyreg.dispatch_table:
        return True
    own_state = getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None)
    return own_state or kind.__reduce_ex__ is not object.__reduce_ex__ or kind.__reduce__ is not object.__reduce__


def _reduced(value: Any) -> Any:
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        return reduce(value) if reduce is not None else value.__reduce_ex__(4)
    except Exception:
        raise CannotHash(_named(value)) from None


def _named(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
