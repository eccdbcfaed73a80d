"""The outputs that several nodes share."""

from typing import Any

from nbgraph.invocations.base import BaseInvocationOutput
from nbgraph.invocations.fields import ColorField, ConditioningField, ImageField, LatentsField


class IntegerOutput(BaseInvocationOutput):
    """A whole number."""

    value: int


class FloatOutput(BaseInvocationOutput):
    """A number."""

    value: float


class StringOutput(BaseInvocationOutput):
    """A text."""

    value: str


class BooleanOutput(BaseInvocationOutput):
    """True or false."""

    value: bool


class ColorOutput(BaseInvocationOutput):
    """A colour."""

    color: ColorField


class TwoStringsOutput(BaseInvocationOutput):
    """Two texts."""

    string_1: str
    string_2: str


class PromptPairOutput(BaseInvocationOutput):
    """A prompt for what an image should show, and one for what it should not."""

    positive_string: str
    negative_string: str


class CollectionOutput(BaseInvocationOutput):
    """A list of anything."""

    collection: list[Any]


class IntegerCollectionOutput(BaseInvocationOutput):
    """A list of whole numbers."""

    collection: list[int]


class FloatCollectionOutput(BaseInvocationOutput):
    """A list of numbers."""

    collection: list[float]


class StringCollectionOutput(BaseInvocationOutput):
    """A list of texts."""

    collection: list[str]


class BooleanCollectionOutput(BaseInvocationOutput):
    """A list of truth values."""

    collection: list[bool]


class ImageOutput(BaseInvocationOutput):
    """A picture and its size in pixels."""

    main_field = "image"

    image: ImageField
    width: int
    height: int


class LatentsOutput(BaseInvocationOutput):
    """Latents, and the size in pixels of the picture they decode to."""

    main_field = "latents"

    latents: LatentsField
    width: int
    height: int


class NoiseOutput(BaseInvocationOutput):
    """Noise to start from, the size in pixels of the picture it becomes, and the seed it was drawn with."""

    main_field = "noise"

    noise: LatentsField
    width: int
    height: int
    seed: int


class ConditioningOutput(BaseInvocationOutput):
    """An encoded prompt."""

    conditioning: ConditioningField


class SeededIntegerCollectionOutput(BaseInvocationOutput):
    """A list of random whole numbers, and the seed they were drawn with."""

    main_field = "collection"

    collection: list[int]
    seed: int


class ImageCollectionOutput(BaseInvocationOutput):
    """A list of pictures."""

    collection: list[ImageField]


class LatentsCollectionOutput(BaseInvocationOutput):
    """A list of latents."""

    collection: list[LatentsField]


class ConditioningCollectionOutput(BaseInvocationOutput):
    """A list of encoded prompts."""

    collection: list[ConditioningField]
