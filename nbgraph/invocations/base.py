"""Invocations: the nodes of a graph. A node is a pydantic model with typed inputs and `invoke(context) -> output`.

    @invocation("add", title="Add", category="math", version="1.0.0")
    class Add(BaseInvocation):
        a: int = 0
        b: int = 0

        def invoke(self, context: InvocationContext) -> IntegerOutput:
            return IntegerOutput(value=self.a + self.b)

A node that works better on several at once says so. Those of one source node, under an iteration, whose `batch_key` is
equal are then run in one call, and each result is kept for itself, as if it had run alone:

    @invocation("embed", title="Embed", category="text", version="1.0.0")
    class Embed(BaseInvocation):
        text: str
        language: str = "en"

        def batch_key(self, context: InvocationContext) -> Hashable:
            return self.language                              # None: this one runs by itself

        def invoke(self, context: InvocationContext) -> FloatCollectionOutput:
            return self.invoke_batch([self], [context])[0]

        @staticmethod
        def invoke_batch(nodes, contexts) -> list[FloatCollectionOutput]:
            vectors = embed([node.text for node in nodes], nodes[0].language)
            return [FloatCollectionOutput(collection=vector) for vector in vectors]

An input takes a value or another node: `Add(a=Add(a=1, b=2), b=3)`. The node is kept in the field as a `Ref`, an edge
to one of its outputs: the one of equal name if that fits, else the output's `main_field`, else the only one that fits.
"""

import copy
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any, ClassVar, Never, TypeVar, cast, get_type_hints

from msgspec import Struct
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from nbgraph.errors import GraphError, NbgraphError, PositionalError, Problem, suggest
from nbgraph.invocations.context import InvocationContext
from nbgraph.invocations.input_problems import input_problems
from nbgraph.invocations.inputs import REQUIRED, InputSpec
from nbgraph.invocations.node_output import BaseInvocationOutput
from nbgraph.invocations.node_registry import register
from nbgraph.invocations.node_type import BASE_FIELDS, NODE_CONFIG, NodeType, known_type_of, node_type_of
from nbgraph.invocations.plain_numbers import with_plain_numbers
from nbgraph.invocations.types import assignable, type_name
from nbgraph.invocations.valid import fill_valid, set_names, set_values

_class = type
Init = TypeVar("Init", bound=Callable[..., None])
USUAL_PIXELS = 512 * 512


def _shown_without_places(init: Init) -> Init:
    """Leave what is given by place, which is an error, out of the signature that completion shows."""
    parameters = [Parameter("self", Parameter.POSITIONAL_ONLY), Parameter("data", Parameter.VAR_KEYWORD)]
    vars(init)["__signature__"] = Signature(parameters)
    return init


class Ref(Struct, frozen=True, eq=False, gc=False):
    """An edge, held in the field it ends in: the output `field` of `node`.

    The collector of cycles does not look at edges, so a node is one object to it where it would be four. The price:
    what refers to itself by way of an edge, as nodes that are linked in a circle, is never freed.
    """

    node: "BaseInvocation"
    field: str

    def __repr__(self) -> str:
        return f"Ref({self.node.id or self.node.type}.{self.field})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.node is self.node and other.field == self.field

    def __hash__(self) -> int:
        return hash((id(self.node), self.field))


class BaseInvocation(BaseModel):
    """A node. Inputs are pydantic fields; a required input may be left open and come over an edge instead.

    An input whose class has validators for it keeps what was given; the validators change it once, when the node runs,
    whatever way it came. Before, they only say whether it is valid. That is so for defaults too.

    `id` names the node in its graph (made from the type if left out); `is_intermediate` keeps its pictures out of the
    gallery; `use_cache=False` makes it run every time, `True` keeps its results even if its code cannot be hashed
    (None: what the node's class says).
    """

    model_config = NODE_CONFIG

    title: ClassVar[str] = ""
    category: ClassVar[str] = ""
    tags: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[str] = "1.0.0"
    cached_by_default: ClassVar[bool] = True
    cached_in_any_case: ClassVar[bool] = False
    static: ClassVar[bool] = False
    output_class: ClassVar[type[BaseInvocationOutput]] = BaseInvocationOutput
    _node_type: ClassVar[NodeType | None] = None
    output_types_vary: ClassVar[bool] = False
    __wrapped_function__: ClassVar[Any] = None
    type: ClassVar[str] = ""

    id: str | None = Field(None, description="Name of the node in its graph; made from the type if left out")
    is_intermediate: bool = Field(False, description="Keep the images of the node out of the gallery")
    use_cache: bool | None = Field(
        None, description="False runs the node every time, True always caches it; left out, the node type decides"
    )

    def invoke(self, context: InvocationContext) -> BaseInvocationOutput:
        """Do the node's work: all inputs are there and valid. Must not change its inputs."""
        raise NotImplementedError(f"{self.__class__.__name__} has no invoke(context)")

    def batch_key(self, context: InvocationContext) -> Hashable | None:
        """Return a key that is equal for nodes that can run in one call of `invoke_batch`; None for one that cannot.

        All inputs are there and valid, so sizes can be looked up. Nodes that leave this out are never batched.
        """
        return None

    def batch_pixels(self, context: InvocationContext) -> int:
        """Return how many pixels the node draws: `Settings.batch_pixels` limits their sum in one call."""
        return USUAL_PIXELS

    @staticmethod
    def invoke_batch(nodes: Sequence[Any], contexts: Sequence[InvocationContext]) -> Sequence[BaseInvocationOutput]:
        """Do the work of several nodes of one `batch_key`; return an output for each, in their order.

        Each has a context of its own, in whose name its results are saved; save nothing before all are computed. Report
        progress to the first. If it raises, each node is run by `invoke`; if memory ran out, first in smaller batches.
        """
        raise NotImplementedError("a node with a batch_key needs invoke_batch(nodes, contexts)")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        """Yield (field, problem) for what can be seen to be wrong before anything runs.

        `known` has the inputs whose values are certain already: typed values, and what `static` nodes give.
        """
        yield from ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        for info in cls.model_fields.values():
            if info.is_required():
                info.default = REQUIRED
        cls._node_type = None

    @_shown_without_places
    def __init__(self, /, *given: Never, **data: Any) -> None:
        if given:
            raise PositionalError(type(self).__name__, given, self.inputs(), data)
        node_type = self._node_type
        if node_type is not None:
            names = node_type.shapes.get((*data, *map(type, data.values())))
            if names is not None:
                fill_valid(self, node_type.defaults | data, names)
                return
        self._validate(data)

    def _validate(self, data: dict[str, Any]) -> None:
        """Let pydantic make the node of all but the edges; the next of the same shape may be made without it."""
        if isinstance(data.get("id"), int | float):
            text = f"input should be a valid string, not {data['id']!r}"
            raise GraphError([Problem("bad_value", text, self.type, "id")])
        links = {name: value for name, value in data.items() if type(value) not in _PLAIN and _holds_nodes(value)}
        arrays = not self.model_config.get("arbitrary_types_allowed", False)
        typed = {name: with_plain_numbers(value, arrays) for name, value in data.items() if name not in links}
        try:
            self.__pydantic_validator__.validate_python(typed, self_instance=self)
        except ValidationError as error:
            raise GraphError(input_problems(type(self), data.get("id"), error)) from None
        values = vars(self)
        for name, value in links.items():
            is_edge = type(value) is Ref and name in values and name not in BASE_FIELDS
            values[name] = value if is_edge else self._link(name, value)
        cls = type(self)
        node_type = node_type_of(cls)
        for name in node_type.rules - links.keys():
            info = cls.model_fields[name]
            if name in typed:
                values[name] = self._as_given(name, typed[name])
            elif info.default_factory is None:
                values[name] = copy.deepcopy(info.default)
        if all(type(value) is Ref for value in links.values()):
            node_type.note_shape({name: value.__class__ for name, value in data.items()}, links)

    def _as_given(self, name: str, value: Any) -> Any:
        """Return a copy of a value for an input with validators, which change it only when the node runs.

        So a graph, its file and the canvas hold what was typed, and read again it means the same.
        """
        if type(value) in _PLAIN:
            return value
        try:
            to_jsonable_python(value)
        except (PydanticSerializationError, ValueError) as error:
            text = f"has validators, and takes values that a file can hold, not a {type(value).__name__}: {error}"
            raise GraphError([Problem("bad_value", text, self.id or self.type, name)]) from None
        return copy.deepcopy(value)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set one input, checked as at construction. Who holds the dictionary of the values keeps them as they were."""
        if name not in type(self).model_fields:
            super().__setattr__(name, value)
            return
        changed = type(self)(**{**self._given(), name: value})
        set_values(self, {**vars(self), name: vars(changed)[name]})
        set_names(self, {*self.__pydantic_fields_set__, name})

    def _given(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if value is not REQUIRED}

    def _link(self, name: str, value: Any) -> "Ref | list[Ref]":
        spec = self.inputs().get(name)
        node = self.id or self.type
        if spec is None:
            text = f"{self.type!r} has no input {name!r}{suggest(name, self.inputs())}"
            raise GraphError([Problem("unknown_field", text, node, name)])
        if isinstance(value, list):
            if not spec.many:
                text = "takes one node, not a list of nodes; put Collect(item=[...]) between them"
                raise GraphError([Problem("two_edges", text, node, name)])
            return [as_ref(item, spec, node) for item in cast(list[Any], value)]
        return as_ref(value, spec, node)

    @classmethod
    def inputs(cls) -> dict[str, InputSpec]:
        """Return the inputs by name, without the fields every node has."""
        return known_type_of(cls).inputs

    @classmethod
    def outputs(cls) -> dict[str, Any]:
        """Return the outputs: name -> annotation."""
        return known_type_of(cls).outputs

    @classmethod
    def output_types(cls, arriving: Mapping[str, list[Any]]) -> tuple[dict[str, Any], str]:
        """Return (output -> annotation, problem or "") for nodes whose outputs take the type of what arrives."""
        return {}, ""

    @classmethod
    def arrival_problems(cls, linked: set[str]) -> Iterable[str]:
        """Return the problems of which inputs have edges, apart from required ones being open."""
        return ()

    def dump_extra(self) -> dict[str, Any]:
        """Return what a saved node holds beside its inputs, as JSON-able values."""
        return {}

    @classmethod
    def class_from_json(cls, values: dict[str, Any]) -> "type[BaseInvocation]":
        """Return the class of a saved node of this type; takes what `dump_extra` gave out of the values."""
        return cls

    def output(self, field: str) -> Ref:
        """Return the output of that name, to be given to an input: `Add(a=size.output("width"))`."""
        if field not in self.outputs():
            text = f"has no output {field!r}{suggest(field, self.outputs())}"
            raise GraphError([Problem("unknown_output", text, self.id or self.type, field)])
        return Ref(self, field)

    def literals(self) -> dict[str, Any]:
        """Return the inputs that hold values, neither edges nor nothing."""
        return {
            name: value for name in self.inputs() if not is_link(value := self.__dict__[name]) and value is not REQUIRED
        }

    def links(self) -> list[tuple[str, Ref]]:
        """Return the edges that arrive, in the order of the fields: (input, where it comes from)."""
        values, names = self.__dict__, (self._node_type or node_type_of(type(self))).links_by_name
        if names:
            return [(name, value) for name in names if type(value := values.get(name)) is Ref]
        held = [(name, value if value.__class__ is list else [value]) for name, value in values.items()]
        return [(name, ref) for name, refs in held for ref in refs if type(ref) is Ref]

    def __repr_args__(self) -> Any:
        shown = {"id": self.id, **{name: self.__dict__[name] for name in self.inputs() if name in self.__dict__}}
        return [(name, value) for name, value in shown.items() if value is not None and value is not REQUIRED]

    __eq__ = object.__eq__  # pyright: ignore[reportAssignmentType]
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]


_LINKABLE = (Ref, BaseInvocation)
_PLAIN = frozenset({int, float, str, bool, type(None)})
Node = TypeVar("Node", bound=type[BaseInvocation])


def is_link(value: Any) -> bool:
    """Return whether a field's value is an edge, or a list of edges."""
    return isinstance(value, Ref) or (value.__class__ is list and bool(value) and isinstance(value[0], Ref))


def _holds_nodes(value: Any) -> bool:
    """Return whether a value that was given is a node, an edge, or a list of those."""
    return isinstance(value, _LINKABLE) or (value.__class__ is list and bool(value) and isinstance(value[0], _LINKABLE))


def as_ref(value: Any, spec: InputSpec, owner: str) -> Ref:
    """Return the edge that `value` given to an input means: a `Ref` itself; a node by name or type of its outputs."""
    if isinstance(value, Ref):
        return value
    if not isinstance(value, BaseInvocation):
        text = f"a list of nodes may hold only nodes, not {value!r}"
        raise GraphError([Problem("wrong_type", text, owner, spec.name)])
    outputs = value.outputs()
    for name in (spec.name, value.output_class.main_field):
        if name in outputs and assignable(outputs[name], spec.annotation):
            return Ref(value, name)
    fitting = [name for name, annotation in outputs.items() if assignable(annotation, spec.annotation)]
    if len(fitting) == 1:
        return Ref(value, fitting[0])
    listed = ", ".join(f"{name}: {type_name(annotation)}" for name, annotation in outputs.items())
    found = "several outputs" if fitting else "no output"
    text = (
        f"takes {type_name(spec.annotation)}, and {found} of {value.id or value.type!r} fit{'' if fitting else 's'}"
        f" (outputs: {listed}); name one with .output(name)"
    )
    raise GraphError([Problem("wrong_type", text, owner, spec.name)])


def invocation(
    type: str,
    *,
    title: str = "",
    category: str = "",
    tags: tuple[str, ...] = (),
    version: str = "1.0.0",
    use_cache: bool | None = None,
    static: bool = False,
) -> Any:
    """Make a class a node of that type. Defining a node again, in a cell, replaces it.

    Results are kept by the inputs, `version`, and the code that the class reaches: its methods, constants and bases,
    and the functions, classes and values of your own modules that they use. Installed packages count by name and
    version. `use_cache=False` is for nodes whose result is not given by all that. A node whose code cannot be hashed,
    because it uses a lock or an open file, say, is not cached, and `explain` says why; `use_cache=True` keeps its
    results all the same, and then `version` is to be raised when that changes. `static` nodes are quick and pure, and
    may run while a graph is checked.

    Examples
    --------
    >>> from nbgraph.invocations.outputs import IntegerOutput
    >>> @invocation("double", title="Double", category="math", version="1.0.0")
    ... class Double(BaseInvocation):
    ...     value: int
    ...
    ...     def invoke(self, context) -> IntegerOutput:
    ...         return IntegerOutput(value=2 * self.value)
    >>> Double(value=21).type
    'double'
    """
    if not re.fullmatch(r"\S+", type):
        raise NbgraphError(f"a node type is a word without spaces, not {type!r}")
    if not re.fullmatch(r"\d+\.\d+\.\d+\S*", version):
        raise NbgraphError(f"node {type!r}: version {version!r} is not of the form 1.2.3")

    def decorate(cls: Node) -> Node:
        returned = get_type_hints(cls.invoke).get("return")
        if not (isinstance(returned, _class) and issubclass(returned, BaseInvocationOutput)):
            raise NbgraphError(
                f"node {type!r}: invoke must be annotated to return a BaseInvocationOutput, not {returned!r}"
            )
        if (cls.batch_key is BaseInvocation.batch_key) != (cls.invoke_batch is BaseInvocation.invoke_batch):
            raise NbgraphError(f"node {type!r}: batch_key and invoke_batch go together, and only one is there")
        cls.type, cls.title, cls.category, cls.tags = type, title or cls.__name__, category, tags
        cls.version, cls.output_class = version, returned
        cls.cached_by_default, cls.cached_in_any_case = use_cache is not False, use_cache is True
        cls.static = static
        cls._node_type = None  # pyright: ignore[reportPrivateUsage] - what was known of it is out of date
        register(cls)
        return cls

    return decorate
