"""The tiny models that each row of docs/models.md is tried on, by the ability their family has or lacks."""

from nbgraph.diffusion.abilities import abilities
from nbgraph.diffusion.families import family

TINY = {
    "sd15": "stable-diffusion",
    "sd2": "stable-diffusion",
    "sdxl": "stable-diffusion-xl",
    "sd3": "stable-diffusion-3",
    "flux": "flux",
    "chroma": "chroma",
    "qwen-image": "qwenimage",
    "z-image": "z-image",
    "cogview4": "cogview4",
    "pixart-alpha": "pixart-alpha",
    "pixart": "pixart-sigma",
    "sana": "sana",
    "auraflow": "auraflow",
}
"""The family of each tiny model that a row of the page is tried on."""
EDITED = {"flux-kontext": "flux-kontext", "flux2": "flux2", "flux2-klein": "flux2-klein"}
"""The family of each tiny model for editing whose text encoder reads no images: it runs as those of `TINY` do."""


def able(ability: str) -> list[str]:
    """The tiny models whose family has the ability."""
    return [name for name, key in TINY.items() if ability in abilities(family(key))]


def compared(ability: str) -> list[str]:
    """Those of `able` for which diffusers has a pipeline of that task."""
    return [name for name in able(ability) if ability in dict(family(TINY[name]).pipelines)]


def lacking(ability: str) -> list[str]:
    """The tiny models whose family does not have the ability."""
    return [name for name in TINY if name not in able(ability)]
