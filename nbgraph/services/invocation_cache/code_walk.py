"""The walk from a class to all the code it reaches, part by part; `code_hash.py` says what counts and what does not.

Each function, class and value is a part with a label and a hash of its own, in which others appear by their labels. The
walk keeps a queue of parts that have a label and no hash yet, and watches everything it reads.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from enum import EnumType
from hashlib import blake2b
from importlib import import_module
from importlib.util import find_spec, resolve_name
from sys import modules
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, cast
from weakref import WeakKeyDictionary

from pydantic import BaseModel

from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput
from nbgraph.invocations.function import FunctionInvocation
from nbgraph.services.invocation_cache.code_digest import CachedFunction, CannotHash
from nbgraph.services.invocation_cache.code_facts import DIGEST_BYTES, Chain, CodeFacts, Import, facts_of
from nbgraph.services.invocation_cache.code_packages import (
    OWN_PACKAGE,
    PYTHON,
    builtins_of,
    is_importable,
    is_own,
    package_of,
)
from nbgraph.services.invocation_cache.code_parts import PART_BYTES, Part, Parts
from nbgraph.services.invocation_cache.code_record import Code
from nbgraph.services.invocation_cache.code_values import ValueWriter
from nbgraph.services.invocation_cache.code_watch import MISSING, Watch

SHOWN_TEXT = 60
LOGS = (list, set, dict, deque)
WRITES = frozenset({("append",), ("extend",), ("appendleft",), ("add",), ("update",)})
"""Methods that return nothing of the content of a list, set or dict."""
DYNAMIC = (eval, exec, globals, __import__, import_module)
WHOLE: frozenset[Chain] = frozenset({()})
NOT_CODE = frozenset(
    {
        *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__signature__", "_abc_impl"),
        "__class_vars__",  # with those of the bases, private ones of nbgraph too; their values count by themselves
        *("__firstlineno__", "__static_attributes__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
    }
)
BOOKKEEPING = frozenset({"_node_type", "cached_by_default"})
ENUM_TABLES = frozenset({"_member_map_", "_value2member_map_", "_unhashable_values_", "_hashable_values_"})
ENUM_ATTRIBUTES = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_", "__doc__"})
DECORATORS = (
    *("validators", "field_validators", "root_validators", "model_validators", "field_serializers"),
    *("model_serializers", "computed_fields"),
)


_memories: WeakKeyDictionary[CachedFunction, tuple[str, int]] = WeakKeyDictionary()
"""The code of each function behind `functools.cache` when it was looked at, and how often it had been computed."""


def _remembers(function: CachedFunction) -> bool:
    return function.cache_info().currsize > 0


class Walk(ValueWriter):
    """Walks from one class to everything it reaches, part by part, in an order that only names decide."""

    def __init__(
        self, root: type[object] | FunctionType, with_docstrings: bool = False, within: tuple[CachedFunction, ...] = ()
    ) -> None:
        super().__init__(Watch())
        self._root, self._with_docstrings, self._within = root, with_docstrings, within
        self._parts = Parts(root.__module__)
        self._refusals: list[str] = []
        self._remembering: list[CachedFunction] = []
        self._reads_docstrings = False
        self._listed: set[FunctionType] = set()

    def read(self) -> Code:
        """Walk, and return what was found."""
        if isinstance(self._root, FunctionType):
            self.function(self._root)
        elif issubclass(self._root, BaseInvocation):
            for base in self._root.__mro__:
                if base in BaseInvocation.__mro__:
                    continue
                if is_own(base):
                    self.cls(base)
                elif issubclass(base, BaseInvocation) and base is not FunctionInvocation:
                    self._parts.add(id(base), base.__qualname__, base.__module__, base, self._installed_node)
        else:
            self.cls(self._root)
        while self._parts.waiting:
            self._read_part(self._parts.waiting.popleft())
        if self._reads_docstrings and not self._with_docstrings:
            return Walk(self._root, True, self._within).read()
        for function in self._remembering:
            self._check_memory(function)
        packages = dict(sorted(self._parts.packages.items()))
        return Code(self._parts.shown(), packages, "; ".join(self._refusals[:1]), self.watch)

    def _read_part(self, part: Part) -> None:
        if part.is_value and _is_short(part.thing):
            self._parts.hashes[part.label] = [part.thing]
            return
        self._digest, self._path, before = blake2b(digest_size=DIGEST_BYTES), [], self.watch.size()
        try:
            part.write()
        except CannotHash as what:
            self._refuse(f"{part.label} holds {what}")
            if part.is_value:
                self.watch.forget_since(before)
        except RecursionError:
            self._refuse(f"{part.label} is nested too deep")
        except Exception as error:
            self._refuse(f"{part.label} cannot be looked at: {type(error).__name__}: {error}")
        self._parts.hashes[part.label] = self._digest.hexdigest()[: 2 * PART_BYTES]

    def _refuse(self, text: str) -> None:
        self._refusals.append(text)

    # What a value may hold

    def function(self, function: FunctionType) -> None:
        self._check_dynamic(function)
        package = package_of(function.__globals__.get("__name__"))
        if package and package_of(function.__module__) and is_importable(function):
            self.write("installed function", function.__module__, function.__qualname__)
            self._parts.note_package(package)
        else:
            module = function.__globals__.get("__name__") if package else function.__module__
            self.write(
                "function", self._parts.add(id(function), function.__qualname__, module, function, self._function)
            )

    def cls(self, cls: type) -> None:
        if not is_own(cls):
            stated = cast(object, cls.__module__)  # compilers of extensions set a descriptor
            home = stated if isinstance(stated, str) else ""
            self.write("installed class", home, cls.__qualname__)
            self._parts.note_package(package_of(home))
            return
        name = f"inputs of {cls.__qualname__}" if _is_made(cls) else cls.__qualname__
        module = None if package_of(cls.__module__) else cls.__module__
        self.write("class", self._parts.add(id(cls), name, module, cls, self._class))

    def module(self, module: ModuleType) -> None:
        self._module(module, WHOLE)

    def installed(self, module_name: str | None) -> None:
        package = package_of(module_name)
        if package is None:
            raise CannotHash(f"compiled code of {module_name}")
        self._parts.note_package(package)

    def remembering(self, function: CachedFunction) -> None:
        self.watch.content(function, _remembers)
        if function not in self._within and isinstance(function.__wrapped__, FunctionType):
            self._remembering.append(function)

    def _check_memory(self, function: CachedFunction) -> None:
        """Refuse a function behind `functools.cache` that holds results of code that has changed since."""
        code = Walk(function.__wrapped__, self._with_docstrings, (*self._within, function)).read().digest
        before, misses = _memories.get(function, ("", 0)), function.cache_info().misses
        if before[0] not in ("", code) and _remembers(function) and misses >= before[1]:
            self._refuse(f"{function.__name__} remembers results of code that has changed, until its cache_clear()")
        else:
            _memories[function] = code, misses

    # Functions

    def _function(self, label: str, function: FunctionType) -> None:
        facts = facts_of(function.__code__)
        self.watch.function(function)
        self.write("code", facts.digest)
        self.items("defaults", (function.__defaults__, function.__kwdefaults__, _annotations(function)))
        if self._with_docstrings:
            self.value(function.__doc__)
        if _is_dispatcher(function):
            self.pairs("dispatched", function.registry.items())  # type: ignore[attr-defined]
            self.watch.mapping(function.registry)  # type: ignore[attr-defined]
            return
        self.watch.mapping(vars(function))
        self.pairs("attributes", sorted(vars(function).items()))
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            held = self.watch.cell(cell)
            self.write(name)
            self._parts.kept.append(cell)
            self._held(held, facts.enclosed.get(name, WHOLE), id(cell), f"{label}.{name}")
            if label in self._parts.unnamed and id(cell) in self._parts.labels:
                self._parts.unnamed.add(self._parts.labels[id(cell)])
        if package_of(function.__globals__.get("__name__")) is None:
            self._reached(label, function, facts)

    def _reached(self, label: str, function: FunctionType, facts: CodeFacts) -> None:
        """Write what a function of one's own reaches by name."""
        namespace = function.__globals__
        self._reads_docstrings |= "__doc__" in facts.attributes
        for name in facts.written:
            self._refuse(f"{label} assigns {name}, which it does not make itself")
        for name, chains in facts.names.items():
            held = self.watch.name(namespace, name)
            if held is MISSING:
                held = self.watch.name(builtins_of(namespace), name)
            self.write(name)
            self._held(held, chains, (id(namespace), name), name, namespace.get("__name__"))
        for each in facts.imports:
            self._imported(label, namespace, each, facts.attributes)

    def _held(
        self, value: object, chains: Iterable[Chain], key: Hashable, name: str, module: str | None = None
    ) -> None:
        """Write what a name refers to: a function or class by its label, any other value as a part of its own."""
        if value is MISSING or value is NotImplemented or value is Ellipsis:
            self.write("singleton", str(type(value)))
        elif isinstance(value, ModuleType):
            self._module(value, chains)
        elif isinstance(value, FunctionType | type | BuiltinFunctionType):
            self._check_dynamic(value)
            self.value(value)
        elif type(value) in LOGS and WRITES.issuperset(chains):
            self.write("log", type(value).__name__)
        else:
            label = self._parts.add(key, name, module, value, lambda _, held: self.value(held), is_value=True)
            self.write("value", label)

    def _check_dynamic(self, function: FunctionType | type | BuiltinFunctionType) -> None:
        if any(function is each for each in DYNAMIC):
            self._refuse(f"what {function.__name__} reaches is not known")

    def _imported(self, label: str, namespace: dict[str, object], each: Import, attributes: frozenset[str]) -> None:
        """Write what an import inside a function gives, if the module is imported already."""
        package = str(namespace.get("__package__") or str(namespace.get("__name__", "")).rpartition(".")[0])
        name = resolve_name("." * each.level + each.module, package) if each.level else each.module
        installed = package_of(name)
        self.write("import", name)
        if installed is not None:
            self._parts.note_package(installed)
        elif self.watch.name(modules, name) is not MISSING:
            for module in {name: None} if each.names else {name: None, name.partition(".")[0]: None}:
                inside = vars(modules[module])
                wanted = each.names or sorted(attributes & inside.keys())
                self._module(modules[module], {(attribute,) for attribute in wanted})
        elif name.partition(".")[0] in modules or _is_there(name.partition(".")[0]):
            self._refuse(f"{label} imports {name} when it runs; import it before, where it is defined")

    # Modules

    def _module(self, module: ModuleType, chains: Iterable[Chain]) -> None:
        """Write what code takes from a module; all of one's own module if it is used as a value."""
        inside, package = vars(module), package_of(module.__name__)
        self.write("module", module.__name__)
        self._parts.note_package(package)
        by_name: dict[str, set[Chain]] = {}
        for chain in chains:
            if chain:
                by_name.setdefault(chain[0], set()).add(chain[1:])
            elif package is None:
                self.write(
                    "whole", self._parts.add(id(module), f"module {module.__name__}", None, module, self._whole_module)
                )
        for name in sorted(by_name):
            held = self.watch.name(inside, name)
            if package is None:
                self.write(name)
                self._held(held, by_name[name], (id(inside), name), name, module.__name__)
                if held is MISSING:
                    self.value(inside.get("__getattr__"))
            elif isinstance(held, ModuleType):
                self._module(held, by_name[name])
            elif isinstance(held, FunctionType | type):
                self._check_dynamic(held)
                self.value(held)

    def _whole_module(self, label: str, module: ModuleType) -> None:
        inside = vars(module)
        self.watch.mapping(inside)
        for name in sorted(inside):
            if not name.startswith("__"):
                self.write(name)
                self._held(inside[name], WHOLE, (id(inside), name), name, module.__name__)

    # Classes

    def _class(self, label: str, cls: type[object]) -> None:
        inside = vars(cls)
        self.watch.cls(cls)
        self.write("bases", len(cls.__bases__))
        for base in (*cls.__bases__, type(cls)):
            if base is not type(BaseModel):
                self.cls(base)
        if issubclass(cls, BaseModel):
            self._fields(cls)
        if self._with_docstrings:
            self.value(inside.get("__doc__"))
        for name in sorted(inside.keys() - self._left_out(cls)):
            member = inside[name]
            self.write(name)
            if _is_made(cls) or name.startswith("_") or callable(member) or hasattr(member, "__get__"):
                self.value(member)
            else:
                self._held(member, WHOLE, (id(cls), name), f"{label}.{name}")

    def _left_out(self, cls: type[object]) -> set[str]:
        """Return the members of a class that do not count, or are written in another way."""
        names = {*NOT_CODE, *[name for name in vars(cls) if name.startswith("__pydantic_")]}
        if isinstance(cls, EnumType):
            members: dict[str, Any] = dict(cls.__members__)
            for name, member in members.items():
                self.write("member", name)
                self.value(member._value_)
                own = cast(dict[str, object], vars(member))
                self.pairs("attributes", [(each, own[each]) for each in sorted(own.keys() - ENUM_ATTRIBUTES)])
            names |= {*cls.__members__, *ENUM_TABLES}
        if issubclass(cls, BaseInvocationOutput):
            names.add("_holds_models")
        return names | BOOKKEEPING if issubclass(cls, BaseInvocation) else names

    def _fields(self, cls: type[BaseModel]) -> None:
        """Write the fields of a pydantic class, and the functions that its decorators made rules of it."""
        cls.model_rebuild(raise_errors=False)
        self.pairs("fields", cls.model_fields.items())
        for kind in DECORATORS:
            for name, decorator in sorted(getattr(cls.__pydantic_decorators__, kind).items()):
                self.write(kind, name)
                self.items("decorated", (decorator.func, decorator.shim, decorator.info))

    def _installed_node(self, label: str, cls: type) -> None:
        """Write the methods of a node class that is installed; of what they reach, the versions of packages."""
        inside = vars(cls)
        self.watch.cls(cls)
        self._parts.note_package(package_of(cls.__module__))
        for name in sorted(inside):
            member = inside[name]
            functions = [member.fget, member.fset] if isinstance(member, property) else [member]
            for function in [getattr(each, "__func__", each) for each in functions]:
                if not isinstance(function, FunctionType):
                    continue
                self.write(name)
                if package_of(function.__globals__.get("__name__")) is None:
                    self.value(function)
                else:
                    self.watch.function(function)
                    self.write(facts_of(function.__code__).digest)
                    self._list_packages(function)

    def _list_packages(self, function: FunctionType) -> None:
        """Record the packages that a function of an installed one reaches, directly or through its own package."""
        home = package_of(function.__globals__.get("__name__"))
        waiting = [function]
        while waiting:
            each = waiting.pop()
            if each in self._listed:
                continue
            self._listed.add(each)
            for name in facts_of(each.__code__).names:
                held = each.__globals__.get(name)
                is_module = isinstance(held, ModuleType)
                package = package_of(held.__name__ if is_module else getattr(held, "__module__", None) or "builtins")
                if package not in (home, OWN_PACKAGE, PYTHON):
                    self._parts.note_package(package)
                elif package == home and isinstance(held, FunctionType):
                    waiting.append(held)


def _is_short(value: object) -> bool:
    """Return whether a value is shown as it is: one that JSON distinguishes from all others."""
    if type(value) is str:
        return len(value) <= SHOWN_TEXT
    return type(value) in (bool, float, type(None)) or (type(value) is int and value.bit_length() < 128)


def _is_made(cls: type) -> bool:
    """Return whether a class is that of a node made of a function."""
    return issubclass(cls, BaseInvocation) and cls.__wrapped_function__ is not None


def _annotations(function: FunctionType) -> Mapping[str, object] | None:
    try:
        return function.__annotations__
    except NameError:
        return None


def _is_dispatcher(function: FunctionType) -> bool:
    """Return whether a function chooses among others by the type of its argument, as `singledispatch` makes them."""
    return function.__globals__.get("__name__") == "functools" and {"registry", "dispatch"} <= vars(function).keys()


def _is_there(module_name: str) -> bool:
    try:
        return find_spec(module_name) is not None
    except (ImportError, ValueError):
        return False
