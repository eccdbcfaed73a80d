"""Graphs to start from, in one call each. They return the node that gives the image; its inputs are ordinary nodes."""

from itertools import chain, count

from nbgraph.errors import ChoiceError
from nbgraph.invocations.base import BaseInvocation, Ref
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.latents import DenoiseLatents
from nbgraph.invocations.latents_images import ImageToLatents, LatentsToImage
from nbgraph.invocations.model import ModelLoader
from nbgraph.invocations.noise import Noise
from nbgraph.invocations.prompt import Prompt
from nbgraph.services.shared.graph.graph import Graph

NAMES = ("model", "start", "prompt", "negative", "noise", "denoise", "image")


def text_to_image(
    prompt: str,
    *,
    negative: str = "",
    model: str = "emoji",
    seed: int | None = None,
    steps: int = 20,
    cfg_scale: float = 4.0,
    width: int | None = None,
    height: int | None = None,
) -> LatentsToImage:
    """Return the node that gives an image of `prompt`, linked to everything it needs.

    The nodes have the ids `model`, `prompt`, `negative`, `noise`, `denoise` and `image`, for values of one run
    (`{"noise.seed": 8}`), sweeps and results (`run["image"].image`).

    Parameters
    ----------
    prompt, negative
        What the image should show, and what not.
    model
        The name or path of a model; `emoji` is the small one that ships.
    seed
        The same seed gives the same image; None draws one at every run.
    steps
        Number of denoising steps.
    cfg_scale
        How strongly the image follows the prompt; 1 switches guidance off.
    width, height
        Size in pixels; None is the model's own.

    Examples
    --------
    >>> import nbgraph as nb
    >>> image = nb.text_to_image("a red apple", seed=7)
    >>> list(nb.Graph.of(image).nodes)
    ['model', 'prompt', 'negative', 'noise', 'denoise', 'image']
    """
    loader = ModelLoader(id="model", model=model)
    denoise = DenoiseLatents(
        id="denoise",
        unet=loader,
        positive=Prompt(id="prompt", text=prompt, clip=loader),
        negative=Prompt(id="negative", text=negative, clip=loader),
        noise=Noise(id="noise", unet=loader, seed=seed, width=width, height=height),
        steps=steps,
        cfg_scale=cfg_scale,
    )
    return LatentsToImage(id="image", latents=denoise, vae=loader)


def image_to_image(
    image: BaseInvocation | Ref | ImageField,
    prompt: str,
    *,
    strength: float = 0.6,
    negative: str = "",
    model: str = "emoji",
    seed: int | None = None,
    steps: int = 20,
    cfg_scale: float = 4.0,
) -> LatentsToImage:
    """Return the node that gives a new image of `prompt` which begins from another image.

    The nodes have the ids of `text_to_image`, and `start` for the latents of the given image; after a node that gives
    the image, and has such nodes before it, they end in `_2`: `noise_2`, `image_2`.

    Parameters
    ----------
    image
        A node that gives an image, or one stored in a studio (`studio.images.add(picture)`).
    strength
        The share of the denoising that is done, 0 to 1: 0.3 keeps most of the image, 1 keeps nothing.
    prompt, negative, model, seed, steps, cfg_scale
        As in `text_to_image`.

    Raises
    ------
    ChoiceError
        `strength` is not between 0 and 1.
    """
    if not 0 < strength <= 1:
        raise ChoiceError("strength", strength, ["a number above 0, up to 1"])
    # The new nodes join the graph of the image, so their ids must be free there.
    suffix = _free_suffix(image)
    loader = ModelLoader(id=f"model{suffix}", model=model)
    start = ImageToLatents(id=f"start{suffix}", image=image, vae=loader)
    width, height = start.output("width"), start.output("height")
    denoise = DenoiseLatents(
        id=f"denoise{suffix}",
        unet=loader,
        latents=start,
        denoising_start=round(1 - strength, 6),  # 1 - 0.7 is 0.30000000000000004
        positive=Prompt(id=f"prompt{suffix}", text=prompt, clip=loader),
        negative=Prompt(id=f"negative{suffix}", text=negative, clip=loader),
        noise=Noise(id=f"noise{suffix}", unet=loader, seed=seed, width=width, height=height),
        steps=steps,
        cfg_scale=cfg_scale,
    )
    return LatentsToImage(id=f"image{suffix}", latents=denoise, vae=loader)


def _free_suffix(image: BaseInvocation | Ref | ImageField) -> str:
    """Return an end for the ids of new nodes that no node before the image uses: empty, `_2`, `_3`, ..."""
    if isinstance(image, ImageField):
        return ""
    taken = Graph.of(image.node if isinstance(image, Ref) else image).nodes
    ends = chain([""], (f"_{number}" for number in count(2)))
    return next(end for end in ends if not any(f"{name}{end}" in taken for name in NAMES))
