"""Hash the values that code reaches, by their types and contents.

Equal values give equal bytes in every process: no addresses, no order of sets, no `repr` of an object. Instances count
by class and attributes; those of installed classes that describe themselves to `copyreg` by that description. What
cannot be hashed raises `CannotHash`: open files, locks, generators and the like, and what is larger than `MOST_BYTES`
or has more than `MOST_VALUES` parts.
"""

import copyreg
import functools
import sys
import types
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
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
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from nbgraph.services.invocation_cache.code_digest import PLAIN, CachedFunction, CannotHash, HashWriter
from nbgraph.services.invocation_cache.code_facts import DIGEST_BYTES, constant_text
from nbgraph.services.invocation_cache.code_packages import is_own
from nbgraph.services.invocation_cache.code_watch import MISSING, Watch

if TYPE_CHECKING:
    import numpy as np
    import torch

    Descriptor = (
        staticmethod[..., object] | classmethod[object, ..., object] | property | functools.cached_property[object]
    )
    Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]

Content = TypeVar("Content")
BARE = frozenset({object, list, dict, set, frozenset, tuple, str, bytes, int, float, complex, BaseModel, Enum})
"""Bases whose instances hold nothing that is not written for every instance."""
STABLE: tuple[Any, ...] = (
    *(Pattern, date, time, timedelta, tzinfo, Decimal, Fraction, UUID, PurePath, Logger),
    *(attrgetter, itemgetter, methodcaller, range, types.GenericAlias, types.UnionType),
)
"""Classes whose instances do not change, or not in what counts: described once, not at each look."""
STABLE_MODULES = {"typing", "dataclasses", "annotated_types", "pydantic.types", "pydantic.functional_validators"}
DERIVED_MODULES = {"pydantic_core._pydantic_core", "pydantic.plugin._schema_validator"}
"""Modules whose objects are made of a class that counts itself, and hold addresses."""
FIELD_PARTS = (
    *("annotation", "default", "default_factory", "alias", "validation_alias", "serialization_alias"),
    *("metadata", "discriminator", "frozen", "validate_default", "init", "init_var", "kw_only", "exclude"),
)
"""What makes a pydantic field what it is; titles and descriptions do not."""
_CONTAINERS: tuple[type[object], ...] = (list, tuple, dict, set, frozenset, str, bytes, int, float, complex)
_C_METHODS = (
    *(types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType),
    *(types.GetSetDescriptorType, types.MemberDescriptorType),
)

_DESCRIPTOR_KINDS: tuple[type, ...] = (staticmethod, classmethod, property, functools.cached_property)
_LISTED: tuple[type, ...] = (list, tuple, deque)
_MAPPED: tuple[type, ...] = (dict, OrderedDict, defaultdict, Counter, types.MappingProxyType)


class ValueWriter(HashWriter):
    """Writes values of any kind into one hash. A subclass writes functions, classes and modules."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

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

    def remembering(self, function: CachedFunction) -> None:
        """Note that a function behind `functools.cache` is reached."""

    def value(self, value: object) -> None:
        kind = type(value)
        if kind in PLAIN:
            self._check_size(len(value) if isinstance(value, str | bytes) else 0)
            self.write(constant_text(value))
        elif isinstance(value, FunctionType):
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

    def _compound(self, value: object, kind: type) -> None:
        write = self._WRITERS.get(kind)
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
            self._array(cast("Array", value))
        elif _is_from("torch", value, "Tensor"):
            self._tensor(cast("torch.Tensor", value))
        elif kind.__module__ in DERIVED_MODULES:
            self.write("derived", kind.__qualname__)
        else:
            self._instance(value, kind)

    def _list(self, value: Collection[object]) -> None:
        if not isinstance(value, tuple):
            self.watch.items(value)
        self.items(type(value).__name__, value)

    def _set(self, value: set[object] | frozenset[object]) -> None:
        """Write the hash of each item, sorted: a set has no order."""
        if type(value) is set:
            self.watch.items(value)
        hashes: list[bytes] = []
        for each in value:
            whole, self._digest = self._digest, blake2b(digest_size=DIGEST_BYTES)
            try:
                self.value(each)
                hashes.append(self._digest.digest())
            finally:
                self._digest = whole
        self.write(type(value).__name__, len(hashes), *sorted(hashes))

    def _dict(self, value: Mapping[object, object]) -> None:
        self.watch.mapping(value)
        self.pairs(type(value).__name__, value.items())
        self.value(getattr(value, "default_factory", None))

    def _method(self, value: MethodType) -> None:
        self.write("method")
        self.value(value.__func__)
        self.value(value.__self__)

    def _builtin(self, value: types.BuiltinFunctionType) -> None:
        owner: object = value.__self__
        self.write("builtin", value.__qualname__)
        if owner is None or isinstance(owner, ModuleType):
            self.write(value.__module__ or "")
            self.installed(value.__module__)
        else:
            self.value(owner)

    def _descriptor(self, value: "Descriptor") -> None:
        self.write(type(value).__name__)
        if isinstance(value, property):
            self.items("property", (value.fget, value.fset, value.fdel))
        elif isinstance(value, functools.cached_property):
            self.value(value.func)
        else:
            self.value(value.__func__)

    def _partial(self, value: functools.partial[object]) -> None:
        self.write("partial")
        self.items("call", (value.func, value.args, value.keywords, vars(value)))

    def _cached_function(self, value: CachedFunction) -> None:
        """Write a function behind `functools.cache`, without its results, which follow from what its code reaches."""
        self.remembering(value)
        self.write("cached function")
        self.items("wrapped", (value.__wrapped__, value.cache_parameters()))

    def _buffer(self, value: bytearray | memoryview) -> None:
        self.write(type(value).__name__, getattr(value, "typecode", ""), bytes(value))
        self._watch_content(value, bytes)

    def _slice(self, value: slice) -> None:
        self.items("slice", (value.start, value.stop, value.step))

    def _variable(self, value: typing.TypeVar) -> None:
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

    def _adapter(self, value: TypeAdapter[object]) -> None:
        parts = cast(Any, value)  # pydantic has no public names for what an adapter is made of
        self.items("adapter", (parts._type, parts._config))

    def _array(self, value: "Array") -> None:
        self._check_size(value.nbytes)
        self.write("array", type(value).__qualname__, repr(value.dtype.descr if value.dtype.names else value.dtype.str))
        self.items("shape", value.shape)
        if value.dtype.hasobject:
            self.value(value.tolist())
            self._watch_content(value, snapshot)
        else:
            self.write(value.tobytes())
            self._watch_content(value, _array_snapshot)

    def _tensor(self, value: "torch.Tensor") -> None:
        self._check_size(value.numel() * value.element_size())
        self.write("tensor", type(value).__qualname__, str(value.dtype), str(value.layout), value.device.type)
        self.items("shape", tuple(value.shape))
        try:
            plain = value.detach().cpu().contiguous().reshape(-1).view(sys.modules["torch"].uint8)
            self.write(plain.numpy().tobytes())
        except (RuntimeError, TypeError, NotImplementedError):
            raise CannotHash(_named(value)) from None
        self._watch_content(value, snapshot)

    def _instance(self, value: object, kind: type) -> None:
        """Write the attributes of an instance, or the description that its installed class gives, or both."""
        self.write("instance")
        self.cls(kind)
        installed = [base for base in kind.__mro__ if base not in BARE and not is_own(base)]
        if installed and _describes_itself(kind):
            self._described(value, kind)
        elif not _describes_itself(kind):
            _reduced(value)  # raises for a value that holds more in C than its attributes
        if is_own(kind) or not _describes_itself(kind):
            for base in _CONTAINERS:
                if isinstance(value, base):
                    self._contained(value, base)
            self._attributes(value, kind)

    def _contained(self, value: object, base: type) -> None:
        """Write the content of an instance of a class derived from list, str and so on.

        The methods of `base` are called, since the class may have its own.
        """
        plain = cast(Any, base)
        if base is dict:
            mapping = cast(dict[object, object], value)
            self.watch.mapping(mapping)
            self.pairs("dict", plain.items(mapping))
        elif base in (set, frozenset):
            unordered = cast(set[object], value)
            self._set(set(unordered) if base is set else frozenset(unordered))
            self.watch.items(unordered)
        elif base in (list, tuple):
            listed = cast(list[object], value)
            self.watch.items(listed)
            self.items(base.__name__, plain.__iter__(listed))
        else:
            self.write(constant_text(plain.__getnewargs__(value)))

    def _attributes(self, value: object, kind: type) -> None:
        watch = Watch() if _is_stable(value) else self.watch
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict):
            named = cast(dict[str, object], attributes)
            watch.mapping(named)
            self.pairs("attributes", sorted(named.items(), key=_first))
        for name in cast(list[str], cast(Any, copyreg)._slotnames(kind)):
            held = watch.slot(value, name)
            if held is not MISSING:
                self.write("slot", name)
                self.value(held)

    def _described(self, value: object, kind: type) -> None:
        description = _reduced(value)
        if isinstance(description, str):
            self.write("global", kind.__module__, getattr(value, "__module__", None) or "", description)
            return
        maker, arguments, state, listed, keyed = (*description, None, None, None)[:5]
        self.items("description", (maker, arguments))
        self.value(state)
        self.items("items", cast(Iterable[object], listed or ()))
        self.pairs("keys", cast(Iterable[tuple[object, object]], keyed or ()))
        if not _is_stable(value):
            self._watch_content(value, snapshot)

    def _watch_content(self, value: Content, snapshot: Callable[[Content], object]) -> None:
        self.watch.content(value, snapshot)

    # Of exactly these classes: what inherits from them may hold more.
    _WRITERS: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        **dict.fromkeys(_LISTED, _list),
        **dict.fromkeys(_MAPPED, _dict),
        **dict.fromkeys((set, frozenset), _set),
        **dict.fromkeys(_DESCRIPTOR_KINDS, _descriptor),
        **dict.fromkeys((bytearray, memoryview), _buffer),
        types.CodeType: lambda writer, value: writer.write(constant_text(value)),
        MethodType: _method,
        types.BuiltinFunctionType: _builtin,
        types.MethodWrapperType: _builtin,
        functools.partial: _partial,
        type(functools.lru_cache(len)): _cached_function,
        slice: _slice,
        typing.ForwardRef: _reference,
        typing.TypeVar: _variable,
        FieldInfo: _field,
        TypeAdapter: _adapter,
    }
    if sys.version_info >= (3, 12):
        _WRITERS[typing.TypeAliasType] = lambda writer, value: writer.items("alias", (value.__name__, value.__value__))


class _Snapshot(ValueWriter):
    """Hashes a value within this process, by the identity of functions, classes and modules."""

    def function(self, function: FunctionType) -> None:
        self.write("function", id(function))

    def cls(self, cls: type) -> None:
        self.write("class", id(cls))

    def module(self, module: ModuleType) -> None:
        self.write("module", id(module))

    def _watch_content(self, value: Content, snapshot: Callable[[Content], object]) -> None:
        """Watch nothing: this hash itself is what is watched."""

    def digest(self) -> bytes:
        return self._digest.digest()


def snapshot(value: object) -> bytes:
    """Return a hash of the content of a value now, to be compared in this process only."""
    writer = _Snapshot(Watch())
    writer.value(value)
    return writer.digest()


def _first(pair: tuple[str, object]) -> str:
    return pair[0]


def _array_snapshot(value: "Array") -> object:
    return value.dtype, value.shape, blake2b(value.tobytes()).digest()


def _is_stable(value: object) -> bool:
    return isinstance(value, STABLE) or type(value).__module__ in STABLE_MODULES


def _is_from(package: str, value: object, name: str) -> bool:
    """Return whether a value is an instance of a class of a package, which is not imported for this."""
    module = sys.modules.get(package)
    cls = getattr_static(module, name, None) if module is not None else None
    return isinstance(cls, type) and isinstance(value, cls)


def _describes_itself(kind: type) -> bool:
    """Return whether a class itself defines how its instances are rebuilt."""
    if kind in copyreg.dispatch_table:
        return True
    own_state = getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None)
    return own_state or kind.__reduce_ex__ is not object.__reduce_ex__ or kind.__reduce__ is not object.__reduce__


def _reduced(value: object) -> str | tuple[object, ...]:
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        return reduce(value) if reduce is not None else value.__reduce_ex__(4)
    except Exception:
        raise CannotHash(_named(value)) from None


def _named(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
