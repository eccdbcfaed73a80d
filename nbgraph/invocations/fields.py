"""The nouns that travel along edges: references to resources and models, small, frozen and fit for JSON.

A reference names what a service keeps; it never holds a picture, a tensor or a module.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from nbgraph.diffusion.refs import ModelRef
from nbgraph.invocations.inputs import RandomSeed

SEED_MAX = 2**32 - 1
Seed = Annotated[int | None, Field(ge=0, le=SEED_MAX), RandomSeed()]
"""A seed; None draws one for each prepared node."""


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
    """A model: the name it has in this studio, where its files are, and the fingerprint the cache goes by."""

    name: str

    def content(self) -> dict[str, Any]:
        """What makes the model what it is, wherever it lies and whatever it is called."""
        patches = [patch.model_dump(exclude={"path"}) for patch in self.patches]
        return {"model": self.fingerprint, "dtype": self.dtype, "variant": self.variant, "patches": patches}


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


def resources_in(value: Any) -> list[ResourceField]:
    """Every reference to a resource inside a value: nested models, lists, tuples and dictionaries are walked."""
    found: list[ResourceField] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, ResourceField):
            found.append(item)
        elif isinstance(item, BaseModel):
            waiting.extend(reversed(list(item.__dict__.values())))
        elif isinstance(item, list | tuple | set | frozenset):
            waiting.extend(reversed(list(item)))
        elif isinstance(item, dict):
            waiting.extend(reversed(list(item.values())))
    return found
