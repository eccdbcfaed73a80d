"""Which values a node takes as they are: those that pydantic would give back unchanged need not be put to it."""

from collections.abc import Collection, Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo
from pydantic.functional_validators import AfterValidator, BeforeValidator, PlainValidator, WrapValidator

from nbgraph.invocations.inputs import REQUIRED

KINDS = (int, str, bool, NoneType)
Kinds = tuple[type, ...]
_VALIDATORS = (AfterValidator, BeforeValidator, PlainValidator, WrapValidator)


class ExactInputs:
    """What a class takes as it is: the types of each field, and the values of all fields where nothing is given.

    `shapes` has what was given before, by the fields' names and then their types, and for it the names of the fields
    that are no edges: one set for all nodes of the shape, not to be changed.
    """

    __slots__ = ("defaults", "shapes", "_kinds")

    def __init__(self, kinds: Mapping[str, Kinds], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.shapes: dict[tuple[str | type, ...], set[str]] = {}
        self._kinds = kinds

    def note(self, given: Mapping[str, type], edges: Collection[str]) -> None:
        """Take what was given from now on as it is, if that may be; by field the type of its value, and the edges."""
        if all(name in edges or kind in self._kinds[name] for name, kind in given.items()):
            self.shapes[*given, *given.values()] = given.keys() - edges


def exact_inputs(cls: type[BaseModel], usual: ConfigDict) -> ExactInputs | None:
    """What a class takes as it is; None for one with rules of its own, or whose defaults must be made anew each time.

    `usual` is the configuration that classes without rules of their own have.
    """
    fields = cls.model_fields
    if has_rules(cls, usual) or not all(_has_fixed_default(info) for info in fields.values()):
        return None
    kinds = {name: exact_kinds(info) for name, info in fields.items()}
    return ExactInputs(kinds, {name: info.default for name, info in fields.items()})


def exact_kinds(info: FieldInfo) -> Kinds:
    """The types whose values a field takes as they are: whole numbers, texts, truth values, None, without limits."""
    is_union = get_origin(info.annotation) in (Union, UnionType)
    given = get_args(info.annotation) if is_union else (info.annotation,)
    kinds = tuple(kind for kind in KINDS if any(kind is each for each in given))
    return kinds if len(kinds) == len(given) and not info.metadata else ()


def has_rules(cls: type[BaseModel], usual: ConfigDict) -> bool:
    """Whether a class has validators, private attributes or a configuration of its own, or makes its own schema."""
    rules = cls.__pydantic_decorators__
    has_validators = any((rules.validators, rules.field_validators, rules.root_validators, rules.model_validators))
    makes_schema = cls.__get_pydantic_core_schema__.__func__ is not BaseModel.__get_pydantic_core_schema__.__func__
    return bool(has_validators or makes_schema or cls.__pydantic_post_init__ or cls.model_config != usual)


def fields_with_rules(cls: type[BaseModel], leave_out: Collection[str]) -> frozenset[str]:
    """The fields whose values validators of the class may change: by decorator, by annotation, or all of them."""
    rules = cls.__pydantic_decorators__
    if rules.model_validators or rules.root_validators or cls.__pydantic_post_init__:
        return frozenset(cls.model_fields).difference(leave_out)
    named = {name for rule in rules.field_validators.values() for name in rule.info.fields}
    named |= {name for rule in rules.validators.values() for name in rule.info.fields}
    by_decorator = cls.model_fields.keys() if "*" in named else named
    annotated = [name for name, info in cls.model_fields.items() if _has_validator(info.annotation, info.metadata)]
    return frozenset([*by_decorator, *annotated]).difference(leave_out)


def _has_validator(annotation: Any, marks: Collection[Any] = ()) -> bool:
    found = any(isinstance(mark, _VALIDATORS) for mark in marks)
    return found or any(
        _has_validator(each) or isinstance(each, _VALIDATORS) for each in get_args(annotation) if each is not annotation
    )


def _has_fixed_default(info: FieldInfo) -> bool:
    """Whether a field that is not given always has the very value that its class names, and goes by its own name."""
    is_fixed = info.default is REQUIRED or isinstance(info.default, int | str | float | None)
    return is_fixed and not (info.default_factory or info.validate_default or info.validation_alias)
