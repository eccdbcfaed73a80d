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
from nbgraph.invocations.easing import StepEasing
from nbgraph.invocations.image import Image, LoadImage, ResizeImage, SaveImage
from nbgraph.invocations.latents import DenoiseLatents, ImageToLatents, LatentsToImage, ResizeLatents, ScaleLatents
from nbgraph.invocations.math import (
    Add,
    Divide,
    FloatMath,
    FloatToInteger,
    IntegerMath,
    Multiply,
    RandomFloat,
    RandomInteger,
    RoundFloat,
    Subtract,
)
from nbgraph.invocations.model import ModelLoader
from nbgraph.invocations.node_registry import registry
from nbgraph.invocations.noise import Noise
from nbgraph.invocations.primitives import Boolean, Color, Conditioning, Float, Integer, Latents, String
from nbgraph.invocations.prompt import Prompt
from nbgraph.invocations.prompt_lists import DynamicPrompt, PromptsFromFile
from nbgraph.invocations.strings import JoinStrings, JoinThreeStrings, ReplaceString, SplitPrompt, SplitString

__all__ = [
    "Add",
    "Boolean",
    "BooleanCollection",
    "Collect",
    "Color",
    "Conditioning",
    "ConditioningCollection",
    "DenoiseLatents",
    "Divide",
    "DynamicPrompt",
    "Float",
    "FloatCollection",
    "FloatMath",
    "FloatRange",
    "FloatToInteger",
    "If",
    "Image",
    "ImageCollection",
    "ImageToLatents",
    "Integer",
    "IntegerCollection",
    "IntegerMath",
    "ItemOf",
    "Iterate",
    "JoinStrings",
    "JoinThreeStrings",
    "Latents",
    "LatentsCollection",
    "LatentsToImage",
    "LoadImage",
    "ModelLoader",
    "Multiply",
    "Noise",
    "Prompt",
    "PromptsFromFile",
    "RandomFloat",
    "RandomInteger",
    "RandomRange",
    "Range",
    "RangeOfSize",
    "ReplaceString",
    "ResizeImage",
    "ResizeLatents",
    "RoundFloat",
    "SaveImage",
    "ScaleLatents",
    "SplitPrompt",
    "SplitString",
    "StepEasing",
    "String",
    "StringCollection",
    "Subtract",
    "Zip",
    "registry",
]
