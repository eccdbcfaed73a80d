"""The nouns that travel along edges: references to resources and models, small, frozen and fit for JSON.

A reference names what a service keeps; it never holds a picture, a tensor or a module.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast

from PIL import ImageColor
from pydantic import BaseModel, ConfigDict, Field, model_validator

from nbgraph.diffusion.refs import ModelRef
from nbgraph.invocations.inputs import RandomSeed

Wanted = TypeVar("Wanted", bound=BaseModel)
SEED_MAX = 2**64 - 1
DRAWN_MAX = 2**32 - 1
"""Seeds that are drawn are below 2**32: short to read, and exact in every program."""
ImageCategory = Literal["general", "mask", "control", "user", "other"]
TensorKind = Literal["latents", "conditioning", "mask", "other"]
Seed = Annotated[int | None, Field(ge=0, le=SEED_MAX), RandomSeed()]
"""A seed from 0 to 2**64 - 1, all that torch takes; None draws one for each prepared node."""


class ResourceField(BaseModel):
    """A reference to something a storage service keeps; `kind` says which service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[Literal["image", "tensors"]]

    @property
    def resource_name(self) -> str:
        """The generated name of the resource."""
        raise NotImplementedError


class ImageField(ResourceField):
    """A picture in the image service."""

    kind = "image"
    image_name: str

    @property
    def resource_name(self) -> str:
        return self.image_name


class LatentsField(ResourceField):
    """Latents in the tensor service, of shape (batch, channels, height, width) in latent pixels."""

    kind = "tensors"
    latents_name: str

    @property
    def resource_name(self) -> str:
        return self.latents_name


class ConditioningField(ResourceField):
    """An encoded prompt in the tensor service."""

    kind = "tensors"
    conditioning_name: str

    @property
    def resource_name(self) -> str:
        return self.conditioning_name


class ModelField(ModelRef):
    """A model: its name in this studio, the place of its files, and the fingerprint that cache keys use."""

    name: str

    def content(self) -> dict[str, Any]:
        """Return what identifies the model in cache keys, wherever its files are and whatever its name is."""
        patches = [patch.model_dump(exclude={"path"}) for patch in self.patches]
        content = {"model": self.fingerprint, "dtype": self.dtype, "variant": self.variant, "patches": patches}
        if self.precision is not None:
            content["precision"] = self.precision
        if self.parts:
            content["parts"] = [part.model_dump(exclude={"path"}) for part in self.parts]
        return content


class UNetField(BaseModel):
    """The denoiser of a model (a UNet or a transformer), with what is laid over it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelField


class ClipField(BaseModel):
    """The text encoders and tokenizers of a model, with what is laid over them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelField


class VaeField(BaseModel):
    """The autoencoder between pictures and latents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelField


Vae = Annotated[
    VaeField, Field(title="VAE", description="Autoencoder between images and latents, from a Model or a VAE node")
]
"""The input of nodes that encode or decode."""


class ColorField(BaseModel):
    """A colour: red, green, blue and opacity, 0 to 255; also by name or code: `color="red"`, `color="#ff8800"`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    r: int = Field(default=0, ge=0, le=255)
    g: int = Field(default=0, ge=0, le=255)
    b: int = Field(default=0, ge=0, le=255)
    a: int = Field(default=255, ge=0, le=255)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return dict(zip("rgba", ImageColor.getcolor(value, "RGBA")))  # type: ignore[arg-type]
        if isinstance(value, list | tuple):
            parts = cast(Sequence[Any], value)
            return dict(zip("rgba", parts)) if len(parts) in (3, 4) else parts
        return value

    @property
    def rgba(self) -> tuple[int, int, int, int]:
        """(red, green, blue, opacity)"""
        return self.r, self.g, self.b, self.a


class DenoiseMaskField(BaseModel):
    """Where denoising may change a picture: white is denoised, black is kept; soft averages over each latent's cell.

    In a differential mask grey is how much is changed: each latent is denoised for the last steps of its share.
    `latents` are what is kept, if not those that are denoised. `image` and `vae` are for models for inpainting, which
    are shown the image without what is masked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mask: ImageField
    soft: bool = False
    differential: bool = False
    latents: LatentsField | None = None
    image: ImageField | None = None
    vae: VaeField | None = None


class ControlField(BaseModel):
    """A ControlNet, the picture it steers by, and how much and from when to when, as shares of the steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelField
    image: ImageField
    weight: float
    begin: float
    end: float
    mode: int | None = None
    """The task of a ControlNet for several; None for those of one."""
    is_lora: bool = False
    """Whether the model is a control LoRA, which works at all steps."""


class T2iAdapterField(BaseModel):
    """A T2I-Adapter, the picture it steers by, and how much and from when to when, as shares of the steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelField
    image: ImageField
    weight: float
    begin: float
    end: float


class IpAdapterField(BaseModel):
    """An IP-Adapter and its image encoder, what it is shown, how much and from when to when, as shares of the steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: ModelField
    image_encoder: ModelField
    images: list[ImageField]
    weight: float
    begin: float
    end: float


class ReferenceField(BaseModel):
    """Images that a model for editing is shown beside the text, and the autoencoder that encodes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: list[ImageField]
    vae: VaeField


class RegionField(BaseModel):
    """A part of an image, in pixels from its upper left corner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    left: int = Field(ge=0)
    top: int = Field(ge=0)
    width: int
    height: int


class PipelineField(BaseModel):
    """A model as the pipeline of diffusers that it names, which runs as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelField


class UpscalerField(BaseModel):
    """A network that enlarges images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelField


class MetricModelField(BaseModel):
    """A network that scores images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelField


class MetadataItemField(BaseModel):
    """One thing to be known of a picture: what it is called, and its value, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    value: Any


class MetadataField(BaseModel):
    """Facts about an image: values that JSON can hold, by label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, Any]


def resources_in(value: Any) -> list[ResourceField]:
    """Return every reference to a resource inside a value, also in nested models, lists, tuples and dictionaries."""
    return _found_in(value, ResourceField)


def models_in(value: Any) -> list[ModelField]:
    """Return every reference to a model inside a value."""
    return _found_in(value, ModelField)


def _found_in(value: Any, wanted: type[Wanted]) -> list[Wanted]:
    found: list[Wanted] = []
    waiting = [value]
    seen: dict[int, Any] = {}  # a list may hold itself; what was seen is held, so that nothing else gets its identity
    while waiting:
        item = waiting.pop()
        if isinstance(item, wanted):  # as often as it stands there
            found.append(item)
            continue
        place = id(cast(object, item))
        if place in seen:
            continue
        if isinstance(item, BaseModel):
            parts = list(item.__dict__.values())
        elif isinstance(item, list | tuple | set | frozenset):
            parts = list(cast(Iterable[Any], item))
        elif isinstance(item, dict):
            parts = list(cast(dict[Any, Any], item).values())
        else:
            continue
        seen[place] = item
        waiting += reversed(parts)
    return found
