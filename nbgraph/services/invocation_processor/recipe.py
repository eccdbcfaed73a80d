"""What can be known of a node class before its nodes run, so that it is found out once and not for each of them."""

from typing import Any

from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput
from nbgraph.invocations.exact import exact_kinds, has_rules
from nbgraph.invocations.plain_numbers import with_plain_numbers
from nbgraph.services.invocation_cache.code_hash import Code, code_of
from nbgraph.services.invocation_cache.invocation_cache_base import is_plain
from nbgraph.services.invocation_cache.invocation_cache_common import KeyTemplate, is_cached
from nbgraph.services.shared.own_copies import SMALL, own_copy

OWN_PACKAGE = "nbgraph."


class Recipe:
    """What is the same for all nodes of a class.

    A *foreign* node is a person's own, and may change its lists in place or keep a hold of itself or its context; of
    one that is *reusable* none is so: one object may be given the values of each node in turn, and one context serves
    all. An output of the *usual class* is kept as it is, of any other what `to_keep` makes of it; where outputs may
    hold a list that somebody else holds too, no class is usual.
    """

    __slots__ = (
        "cached",
        "cls",
        "exact",
        "is_foreign",
        "is_plain",
        "is_reusable",
        "names",
        "output_class",
        "pick",
        "template",
        "usual_class",
        "_validate",
    )

    def __init__(self, cls: type[BaseInvocation], code: Code | None = None) -> None:
        self.cls = cls
        cls.model_rebuild()
        self._validate = cls.__pydantic_validator__.validate_python
        self.output_class = cls.output_class
        self.is_plain = is_plain(cls.output_class)
        self.template = KeyTemplate(cls, code)
        self.cached = is_cached(cls, self.template.code)
        self.pick = self.template.pick
        self.names = set(cls.model_fields)
        self.exact = exact_types(cls)
        self.is_foreign = not cls.__module__.startswith(OWN_PACKAGE)
        self.is_reusable = self.exact is not None and self.is_plain and not self.is_foreign
        is_shared = not self.is_plain and (self.is_foreign or self.cached)
        self.usual_class = None if is_shared else self.output_class

    def validated(self, values: dict[str, Any]) -> BaseInvocation:
        """The node with these values; pydantic's `ValidationError` tells what is wrong with them, all at once."""
        node = object.__new__(self.cls)
        self._validate(values, self_instance=node)
        return node

    def to_keep(self, output: Any) -> BaseInvocationOutput:
        """The output with containers of its own; `TypeError` if it is not what the node is annotated to return.

        Single numbers of numpy and torch that a person's node gives become Python's; arrays and tensors stay.
        """
        if not isinstance(output, self.output_class):
            wanted = self.output_class.__name__
            raise TypeError(f"invoke returned {type(output).__name__}, and is annotated to return {wanted}")
        if self.usual_class:
            return output
        kept = own_copy(output)
        if self.is_foreign:
            values = vars(kept)
            values.update([(name, with_plain_numbers(value, arrays=False)) for name, value in values.items()])
        return kept

    @staticmethod
    def make_own(values: dict[str, Any]) -> None:
        """Put copies in the place of lists, models and the like, so that who changes them hurts nobody."""
        for name, value in values.items():
            if value.__class__ not in SMALL:
                values[name] = own_copy(value)


_known: dict[type[BaseInvocation], tuple[tuple[Any, ...], Recipe]] = {}


def recipe_of(cls: type[BaseInvocation]) -> Recipe:
    """The recipe of a class, made once, and anew where its decorator says another thing or its code is another."""
    code = code_of(cls)
    made_for = cls.type, cls.version, cls.cached_by_default, cls.cached_in_any_case, cls.output_class, code
    known = _known.get(cls)
    if known is None or known[0] != made_for:
        known = _known[cls] = made_for, Recipe(cls, code)
    return known[1]


def exact_types(cls: type[BaseInvocation]) -> list[type] | None:
    """The types of a class's inputs, by their names' order, if values of these very types are valid as they are.

    That is so for plain whole numbers, texts and truth values without limits, in a class without rules of its own.
    """
    if has_rules(cls, BaseInvocation.model_config):
        return None
    kinds = [exact_kinds(cls.model_fields[name]) for name in sorted(cls.inputs())]
    return [kind for each in kinds for kind in each] if all(len(each) == 1 for each in kinds) else None
