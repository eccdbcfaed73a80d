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
from nbgraph.invocations.image import Image, LoadImage, ResizeImage, SaveImage
from nbgraph.invocations.latents import (
    DenoiseLatents,
    ImageToLatents,
    LatentsToImage,
    ResizeLatents,
    ScaleLatents,
)
from nbgraph.invocations.math import Add, Divide, Multiply, Subtract
from nbgraph.invocations.model import ModelLoader
from nbgraph.invocations.node_registry import registry
from nbgraph.invocations.noise import Noise
from nbgraph.invocations.primitives import Boolean, Float, Integer, String
from nbgraph.invocations.prompt import Prompt

__all__ = [
    "Add",
    "Boolean",
    "BooleanCollection",
    "Collect",
    "ConditioningCollection",
    "DenoiseLatents",
    "Divide",
    "Float",
    "FloatCollection",
    "FloatRange",
    "If",
    "Image",
    "ImageCollection",
    "ImageToLatents",
    "Integer",
    "IntegerCollection",
    "ItemOf",
    "Iterate",
    "LatentsCollection",
    "LatentsToImage",
    "LoadImage",
    "ModelLoader",
    "Multiply",
    "Noise",
    "Prompt",
    "RandomRange",
    "Range",
    "RangeOfSize",
    "ResizeImage",
    "ResizeLatents",
    "SaveImage",
    "ScaleLatents",
    "String",
    "StringCollection",
    "Subtract",
    "Zip",
    "registry",
]
