"""What travels along ComfyUI's links while a workflow is read: more than one output of ours, as a rule."""

from dataclasses import dataclass, replace
from typing import Any

from nbgraph.recipes.graph_builder import Out


@dataclass(frozen=True)
class Model:
    """A denoiser, and the shift that a ModelSampling node gives it."""

    unet: Out
    shift: float | None = None


@dataclass(frozen=True)
class Prompted:
    """Conditioning, with the ControlNets that are hung on it and the guidance it is given."""

    conditioning: Out
    controls: tuple[Out, ...] = ()
    guidance: float | None = None

    def controlled(self, control: Out) -> "Prompted":
        """Return the same with one more ControlNet."""
        return replace(self, controls=(*self.controls, control))


@dataclass(frozen=True)
class Empty:
    """An empty picture, not yet of any model."""

    width: Any = 512
    height: Any = 512
    batch_size: int = 1


@dataclass(frozen=True)
class Latent:
    """Latents, and the mask that says where they may change."""

    latents: Out
    mask: Out | None = None
    batch_size: int = 1
    batch_index: Out | None = None


@dataclass(frozen=True)
class Steps:
    """What a scheduler node says: which levels, of how many steps."""

    schedule: str
    steps: int
    denoise: float
    model: Model | None = None


@dataclass(frozen=True)
class Guider:
    """What a guider node says: the model, the prompts, and the guidance."""

    model: Model
    positive: Prompted
    negative: Prompted | None = None
    cfg: float = 1.0
