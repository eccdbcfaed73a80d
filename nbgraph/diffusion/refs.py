"""Names of models and of their patches: plain data for graphs, keys and JSON."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from nbgraph.diffusion.fingerprints import fingerprint_path

DtypeName = Literal["float32", "float16", "bfloat16"]
PrecisionName = Literal["fp8", "int8", "nf4"]
OffloadName = Literal["none", "component", "streaming"]
StepCacheName = Literal["first_block", "pyramid", "faster"]
CompileName = Literal["inductor", "aot_eager", "eager"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _OfFile(_Frozen):
    # its subclasses declare path and fingerprint: declared here, they would come first in their JSON, and change keys
    @classmethod
    def from_file(cls, path: str, **values: float | str) -> Self:
        """Return the patch of a file, with the file's fingerprint.

        Parameters
        ----------
        path
            The file.
        values
            Other fields, such as `weight`.

        Raises
        ------
        ModelNotFoundError
            There is no such file.
        """
        return cls.model_validate({"path": path, "fingerprint": fingerprint_path(path), **values})


class LoraPatch(_OfFile):
    """A LoRA file. `weight` scales its effect: 0 is none, 1 is as trained."""

    kind: Literal["lora"] = "lora"
    path: str
    fingerprint: str
    weight: float = 0.75


class FreeuPatch(_Frozen):
    """FreeU (arXiv 2309.11497): `b1`, `b2` scale the backbone, `s1`, `s2` the skip connections of a UNet."""

    kind: Literal["freeu"] = "freeu"
    b1: float = 1.2
    b2: float = 1.4
    s1: float = 0.9
    s2: float = 0.2


class SeamlessPatch(_Frozen):
    """Circular padding of the convolutions, so that the image tiles along the named axes."""

    kind: Literal["seamless"] = "seamless"
    axes: tuple[Literal["x", "y"], ...] = ("x", "y")


class ClipSkipPatch(_Frozen):
    """Take the text encoder's hidden state `layers` before its last one."""

    kind: Literal["clip_skip"] = "clip_skip"
    layers: int = Field(ge=0)


class IpAdapterPatch(_OfFile):
    """The weights of an IP-Adapter. Its images and its strength are arguments of `denoise`."""

    kind: Literal["ip_adapter"] = "ip_adapter"
    path: str
    fingerprint: str


class ControlLoraPatch(_OfFile):
    """A control LoRA, which widens the denoiser. `weight` scales its effect; its image is an argument of `denoise`."""

    kind: Literal["control_lora"] = "control_lora"
    path: str
    fingerprint: str
    weight: float = 1.0


class TextualInversionPatch(_OfFile):
    """Trained vectors for the text encoders, which a prompt names by `token`."""

    kind: Literal["textual_inversion"] = "textual_inversion"
    path: str
    fingerprint: str
    token: str


class StepCachePatch(_Frozen):
    """A step cache of diffusers over the denoiser, which changes the image a little.

    `first_block` skips a step whose first block changes by less than `threshold`; `pyramid` and `faster` compute
    attention at one of `every` steps.
    """

    kind: Literal["step_cache"] = "step_cache"
    method: StepCacheName = "first_block"
    threshold: float = 0.05
    every: int = 2


class CompilePatch(_Frozen):
    """The denoiser compiled by torch: its repeated blocks, where diffusers knows them, else all of it."""

    kind: Literal["compile"] = "compile"
    backend: CompileName = "inductor"


Patch = Annotated[
    LoraPatch
    | FreeuPatch
    | SeamlessPatch
    | ClipSkipPatch
    | IpAdapterPatch
    | ControlLoraPatch
    | TextualInversionPatch
    | StepCachePatch
    | CompilePatch,
    Field(discriminator="kind"),
]


WHOLE = "pipeline"
"""The `ModelPart.use` that says that a model is run as a whole, by the pipeline of diffusers that it names."""


class ModelPart(_Frozen):
    """A model, a file or a configuration that is used together with the one a `ModelRef` names.

    `use` is its purpose: `rest` is a model for all components that the main one lacks, `configuration` is the name of a
    known kind of model; any other name is a file for the component of that name.
    """

    use: str
    path: str
    fingerprint: str

    @classmethod
    def from_path(cls, use: str, path: str) -> "ModelPart":
        """Return the part at `path`, with its fingerprint; raise `ModelNotFoundError` when there is none."""
        return cls(use=use, path=str(path), fingerprint=fingerprint_path(path))


class ModelRef(_Frozen):
    """The name of a model: a folder (or the id of a repository in the local hub cache) or a file, and its patches.

    Hashable and JSON-able; holds no module. Two refs with equal fingerprints share their loaded components. `dtype`
    None means the default of the device, `variant` None whatever files the folder has. `precision` is what the weights
    of the denoiser are quantised to when they are loaded; None leaves them. `offload` is where they are while it
    computes; None leaves that to the model cache. It changes no image.
    """

    path: str
    fingerprint: str
    dtype: DtypeName | None = None
    variant: str | None = None
    patches: tuple[Patch, ...] = ()
    parts: tuple[ModelPart, ...] = ()
    precision: PrecisionName | None = None
    offload: OffloadName | None = None

    @classmethod
    def from_path(
        cls, path: str, dtype: DtypeName | None = None, variant: str | None = None, parts: tuple[ModelPart, ...] = ()
    ) -> "ModelRef":
        """Return the model at `path`, with its fingerprint; raise `ModelNotFoundError` when there is none."""
        return cls(path=str(path), fingerprint=fingerprint_path(path), dtype=dtype, variant=variant, parts=parts)

    def with_patch(self, patch: Patch) -> "ModelRef":
        """Return this model with one more patch, applied after those it has."""
        return self.model_copy(update={"patches": (*self.patches, patch)})

    def without_patches(self) -> "ModelRef":
        """Return this model without patches."""
        return self.model_copy(update={"patches": ()})
