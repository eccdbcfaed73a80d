"""Values that pass between the nodes of a graph while a script of diffusers is written for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nbgraph.diffusion.description import ModelDescription


@dataclass(frozen=True)
class LoraUse:
    """A LoRA file over a model, with its weight in the denoiser or in the text encoders."""

    path: Path
    weight: float


@dataclass(frozen=True)
class ModelPart:
    """A denoiser, the text encoders or a VAE: the folder it is read from, and the LoRAs over it."""

    description: ModelDescription
    loras: tuple[LoraUse, ...] = ()

    def with_lora(self, lora: LoraUse) -> "ModelPart":
        """Return the same part with one more LoRA."""
        return replace(self, loras=(*self.loras, lora))

    @property
    def folder(self) -> str:
        """The folder of the model."""
        return str(self.description.folder)


@dataclass(frozen=True)
class Text:
    """A prompt, and the text encoders that read it.

    `sizes` are what SDXL is told, by the keyword of the pipeline, as (height, width); None is the size that is drawn.
    """

    text: str
    clip: ModelPart
    style: str = ""
    sizes: tuple[tuple[str, tuple[int, int] | None], ...] = ()

    @property
    def crop(self) -> tuple[int, int] | None:
        """The crop that SDXL is told, (top, left)."""
        return dict(self.sizes).get("crops_coords_top_left", (0, 0))


@dataclass(frozen=True)
class Drawn:
    """Noise that is drawn from a seed, for a picture of `width` x `height` pixels."""

    seed: int
    width: int
    height: int


@dataclass(frozen=True)
class Steering:
    """A ControlNet: its folder, the variable of its picture, and how it steers."""

    folder: str
    image: str
    weight: float
    begin: float
    end: float


@dataclass(frozen=True)
class Variable:
    """A variable of the script that holds latents or a picture; sizes are pixels, 0 where they are not known."""

    name: str
    width: int = 0
    height: int = 0


def control_arguments(controls: Sequence[Steering], is_encoded: bool, from_image: bool) -> dict[str, str]:
    """Return the arguments of a call for ControlNets, whose image the VAE encodes in some families (`is_encoded`)."""
    images = [f"on_white({each.image})" for each in controls]
    return {
        "control_image" if is_encoded or from_image else "image": (
            images[0] if is_encoded and len(images) == 1 else f"[{', '.join(images)}]"
        ),
        "controlnet_conditioning_scale": repr([each.weight for each in controls]),
        "control_guidance_start": repr([each.begin for each in controls]),
        "control_guidance_end": repr([each.end for each in controls]),
    }
