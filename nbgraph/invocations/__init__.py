"""The node library. Importing it registers every built-in node; it loads neither torch nor diffusers."""

from nbgraph.invocations.collections import (
    BooleanCollection,
    ConditioningCollection,
    FloatCollection,
    FloatRange,
    ImageCollection,
    IntegerCollection,
    LatentsCollection,
    RandomRange,
    Range,
    RangeOfSize,
    StringCollection,
)
from nbgraph.invocations.control_flow import Collect, If, ItemOf, Iterate, Zip
from nbgraph.invocations.math import Add, Divide, Multiply, Subtract
from nbgraph.invocations.node_registry import registry
from nbgraph.invocations.primitives import Boolean, Float, Integer, String

__all__ = [
    "Add",
    "Boolean",
    "BooleanCollection",
    "Collect",
    "ConditioningCollection",
    "Divide",
    "Float",
    "FloatCollection",
    "FloatRange",
    "If",
    "ImageCollection",
    "Integer",
    "IntegerCollection",
    "ItemOf",
    "Iterate",
    "LatentsCollection",
    "Multiply",
    "RandomRange",
    "Range",
    "RangeOfSize",
    "String",
    "StringCollection",
    "Subtract",
    "Zip",
    "registry",
]
