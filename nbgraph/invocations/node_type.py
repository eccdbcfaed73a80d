"""Facts about a node class, worked out once: what the graph, the run loop and the cache ask of it for every node.

`node_type_of(cls)` returns them; they are kept on the class itself. A class that is defined again in a
cell is another class, with facts of its own, and where a decorator says something else of the same class, such as
another `version`, they are worked out anew. The code that a class reaches can change without either: a helper function,
a constant in another cell. What depends on it is apart, in a `KeyHead`, and is asked for, with the code as it is then,
at the beginning of each run.
"""

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import ConfigDict
from pydantic.fields import FieldInfo

from nbgraph.invocations.exact import exact_kinds, fields_with_rules, has_fixed_defaults, has_rules
from nbgraph.invocations.inputs import InputSpec, input_specs
from nbgraph.invocations.node_output import BaseInvocationOutput, may_name_resources
from nbgraph.invocations.types import may_hold_models, may_hold_text

if TYPE_CHECKING:
    from nbgraph.invocations.base import BaseInvocation

_class = type
OWN_PACKAGE = "nbgraph."
BASE_FIELDS = frozenset({"id", "is_intermediate", "use_cache"})
"""The fields that every node has beside its inputs."""
NODE_CONFIG = ConfigDict(
    defer_build=True, extra="forbid", allow_inf_nan=False, protected_namespaces=(), coerce_numbers_to_str=True
)
"""The pydantic configuration of nodes; a class with another one has rules of its own."""
KEY_BYTES = 16
FORMAT = 3
"""How keys are made; another number for another way, so that keys of the two never meet."""


class Code(Protocol):
    """The code that a class reaches, as the cache finds it: hashes by label, package versions, why it has no hash."""

    parts: dict[str, Any]
    packages: dict[str, str]
    refusal: str


class NodeClass(Protocol):
    """The attributes of a node class that are read here, apart from its pydantic fields."""

    type: ClassVar[str]
    version: ClassVar[str]
    cached_by_default: ClassVar[bool]
    cached_in_any_case: ClassVar[bool]
    output_class: ClassVar[_class[BaseInvocationOutput]]


class KeyHead:
    """The beginning of the cache keys of a node type: type, version, code, names of the inputs.

    Not in a key: id, labels, positions, `is_intermediate`, `use_cache`.
    """

    __slots__ = ("begin_hash", "code", "is_cached", "text")

    def __init__(self, cls: type[NodeClass], code: Code, input_names: list[str]) -> None:
        self.code = code
        self.is_cached = cls.cached_by_default and (cls.cached_in_any_case or not code.refusal)
        of_code = {"code": code.parts, "packages": code.packages}
        head = json.dumps({"format": FORMAT, "type": cls.type, "version": cls.version, **of_code, "names": input_names})
        self.text = f'{head[:-1]}, "inputs": '
        # The hash of the head stands for the head, so that with short inputs one block is hashed for a node: with all
        # of the head before them it would be two, which costs 0.15 of 2.5 us a cached node.
        self.begin_hash = blake2b(hash_of(self.text), digest_size=KEY_BYTES).copy

    def keeps(self, use_cache: bool | None) -> bool:
        """Return whether the result of a node is cached: as the node says by `use_cache`, else as its class does."""
        return self.is_cached if use_cache is None else use_cache

    def key_source(self, inputs: bytes) -> str:
        """Return the JSON that a key is the hash of, given the end of it that `Contents.key` makes."""
        return self.text + inputs.decode()


class NodeType:
    """The facts that hold for all nodes of a class.

    `inputs` and `outputs` are by name, without the fields every node has. A node type `is_direct` if each input is
    typed or comes over one edge and nothing is drawn, collected or chosen; `links_by_name` are the inputs to look at
    for its edges, none where an input may hold a list of edges. Of an `is_foreign` one, a person's own, nodes may
    change their inputs in place. `rules` are the inputs that validators of the class may change.

    `exact` are the types of the inputs, by name order, if values of these types need no validation, else None.
    `shapes` has what nodes were built from before and need not be validated: names and types of what was given, and the
    names of those that are no edges, one set for all nodes of the shape, not to be changed.
    """

    __slots__ = (
        "changes_axes",
        "cls",
        "collects",
        "copies_output",
        "defaults",
        "exact",
        "field_names",
        "input_names",
        "inputs",
        "is_direct",
        "is_foreign",
        "is_if",
        "links_by_name",
        "name",
        "names_resources",
        "output_class",
        "outputs",
        "pick",
        "required",
        "resource_inputs",
        "rules",
        "seeds",
        "shapes",
        "text_inputs",
        "_declared",
        "_head",
        "_kinds",
    )

    def __init__(
        self, cls: type[NodeClass], fields: Mapping[str, FieldInfo], has_rules: bool, rules: frozenset[str]
    ) -> None:
        self.cls, self.name, self.output_class, self.rules = cls, cls.type, cls.output_class, rules
        self._declared = _declared(cls)
        self._head: KeyHead | None = None
        self.inputs = input_specs(fields, BASE_FIELDS)
        self.outputs = {name: info.annotation for name, info in cls.output_class.model_fields.items()}
        self.field_names = set(fields)
        self._note_edges(cls.type, self.inputs)
        self._note_values(cls)
        self._note_what_needs_no_validation(fields, has_rules)

    def _note_edges(self, name: str, inputs: Mapping[str, InputSpec]) -> None:
        self.collects, self.is_if = name == "collect", name == "if"
        self.changes_axes = self.collects or name == "iterate"
        self.required = tuple(each for each, spec in inputs.items() if spec.required)
        self.seeds = tuple(each for each, spec in inputs.items() if spec.seed)
        takes_lists = any(spec.many for spec in inputs.values())
        self.is_direct = not (self.collects or self.is_if or self.seeds or takes_lists)
        self.links_by_name = () if takes_lists else tuple(inputs)

    def _note_values(self, cls: type[NodeClass]) -> None:
        self.input_names = sorted(self.inputs)
        self.pick = _picker(self.input_names)
        self.resource_inputs = tuple(name for name, spec in self.inputs.items() if may_hold_models(spec.annotation))
        self.text_inputs = tuple(name for name, spec in self.inputs.items() if may_hold_text(spec.annotation))
        self.names_resources = may_name_resources(cls.output_class)
        self.is_foreign = not cls.__module__.startswith(OWN_PACKAGE)
        # A list in an output may be one that the node goes on with, or that another entry of the cache holds.
        self.copies_output = self.names_resources and (self.is_foreign or cls.cached_by_default)

    def _note_what_needs_no_validation(self, fields: Mapping[str, FieldInfo], has_rules: bool) -> None:
        self.shapes: dict[tuple[str | type, ...], set[str]] = {}
        self.defaults = {name: info.default for name, info in fields.items()}
        kinds = {} if has_rules else {name: exact_kinds(info) for name, info in fields.items()}
        self._kinds = kinds if has_fixed_defaults(fields) else {}
        found = [kinds.get(name, ()) for name in self.input_names]
        self.exact = [kind for (kind,) in found] if all(len(each) == 1 for each in found) and not has_rules else None

    def is_current(self) -> bool:
        """Return whether the class still says the same of itself."""
        return self._declared == _declared(self.cls)

    @property
    def may_skip_validation(self) -> bool:
        """Return whether some values need no validation when a node is built."""
        return bool(self._kinds)

    def note_shape(self, given: Mapping[str, type], edges: Mapping[str, Any]) -> None:
        """Build nodes of the same shape without validation from now on, if that is possible.

        `given` are the types of what this node, which is valid, was built from; `edges` are those that are edges.
        """
        if self._kinds and all(name in edges or kind in self._kinds[name] for name, kind in given.items()):
            self.shapes[*given, *given.values()] = given.keys() - edges

    def key_head(self, code: Code) -> KeyHead:
        """Return the beginning of the keys, the same object as long as the code is."""
        if self._head is None or self._head.code is not code:
            self._head = KeyHead(self.cls, code, self.input_names)
        return self._head


def node_type_of(cls: "type[BaseInvocation]") -> NodeType:
    """Return the facts about a node class, as the class is now."""
    known = cls._node_type  # pyright: ignore[reportPrivateUsage] - they are kept on the class they are about
    if known is not None and known.is_current():
        return known
    is_complete = cls.__pydantic_fields_complete__ or cls.model_rebuild(raise_errors=False)
    rules = fields_with_rules(cls, BASE_FIELDS)
    found = NodeType(cls, cls.model_fields, has_rules(cls, NODE_CONFIG), rules)
    cls._node_type = found if is_complete else None  # pyright: ignore[reportPrivateUsage]
    return found


def known_type_of(cls: "type[BaseInvocation]") -> NodeType:
    """Return the facts about a node class for what no decorator changes: inputs, and outputs by name and type."""
    return cls._node_type or node_type_of(cls)  # pyright: ignore[reportPrivateUsage]


def hash_of(text: str) -> bytes:
    """Return 16 bytes of BLAKE2 over a text, the same in every process."""
    return blake2b(text.encode(), digest_size=KEY_BYTES).digest()


def _declared(cls: type[NodeClass]) -> tuple[Any, ...]:
    """Return what decorators, and whoever assigns to the class, say of it."""
    return cls.type, cls.version, cls.cached_by_default, cls.cached_in_any_case, cls.output_class


def _picker(names: list[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Return a function that takes the values of these names out of a mapping, in their order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple([values[name] for name in names])
