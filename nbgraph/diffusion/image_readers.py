"""Models of transformers that read images, from folders: depth, segments, what a click points at, captions."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from PIL import Image, ImageChops
from transformers.pipelines import pipeline

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.load import LOAD_LOCK
from nbgraph.diffusion.quiet import quiet
from nbgraph.errors import ModelError, suggest


def estimate_depth(components: Components, image: Image.Image) -> Image.Image:
    """Return the depth of each pixel, L: white is near, black is far; needs the component `depth`."""
    reader = _pipeline(components, "depth-estimation", "depth")
    with quiet():
        return reader(image)["depth"]


def find_segments(components: Components, image: Image.Image) -> dict[str, Image.Image]:
    """Return the masks (L, white within) of an image by the labels of the model; needs the component `segments`."""
    reader = _pipeline(components, "image-segmentation", "segments")
    found: dict[str, Image.Image] = {}
    with quiet():
        rows = cast(list[dict[str, Any]], reader(image))
    for row in rows:
        label, mask = str(row["label"]), row["mask"].convert("L")
        # of several things of one name
        found[label] = ImageChops.lighter(found[label], mask) if label in found else mask
    return found


def segments_of(components: Components, image: Image.Image, labels: Sequence[str]) -> Image.Image:
    """Return one mask of all things with these labels, black where there are none.

    Raises
    ------
    ModelError
        The model has no such label.
    """
    names: dict[Any, str] = components["segments"].config.id2label
    known = {str(name) for name in names.values()}
    if unknown := [label for label in labels if label not in known]:
        raise ModelError(
            f"{str(components.model.folder)!r} has no label {unknown[0]!r}{suggest(unknown[0], known)}; it has "
            f"{', '.join(sorted(known)[:40])}"
        )
    mask = Image.new("L", image.size)
    for label, found in find_segments(components, image).items():
        if label in labels:
            mask = ImageChops.lighter(mask, found)
    return mask


@torch.no_grad()
def segment_at(
    components: Components, image: Image.Image, points: Sequence[tuple[int, int]], avoided: Sequence[tuple[int, int]]
) -> Image.Image:
    """Return the mask of the thing at some pixels and not at others; needs the component `clicks`.

    Parameters
    ----------
    points, avoided
        (x, y) in pixels of the image.

    Raises
    ------
    ModelError
        There is no point, or one lies outside of the image.
    """
    given = [*points, *avoided]
    if not points:
        raise ModelError("there is no point on what is to be segmented; give at least one")
    for x, y in given:
        if not (0 <= x < image.width and 0 <= y < image.height):
            raise ModelError(f"the point ({x}, {y}) lies outside of the image, which is {image.width}x{image.height}")
    processor: Any = _processor(components.model.folder, "AutoProcessor")
    labels = [1] * len(points) + [0] * len(avoided)
    with quiet():
        inputs = processor(
            images=image, input_points=[[[[*point] for point in given]]], input_labels=[[labels]], return_tensors="pt"
        )
        moved = {name: each.to(components.device) if hasattr(each, "to") else each for name, each in inputs.items()}
        result = components["clicks"](
            **{name: each for name, each in moved.items() if name not in ("original_sizes", "reshaped_input_sizes")}
        )
        sizes = [inputs[name] for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
        masks = processor.post_process_masks(result.pred_masks.cpu(), *sizes)[0]
    best = int(result.iou_scores.flatten().argmax())
    chosen = masks.reshape(-1, *masks.shape[-2:])[best].to(torch.uint8) * 255
    return Image.fromarray(chosen.numpy(), "L")


@torch.no_grad()
def caption(components: Components, image: Image.Image, longest: int) -> str:
    """Return a sentence about an image, of at most so many tokens; needs the component `captions`."""
    processor: Any = _processor(components.model.folder, "AutoProcessor")
    model = components["captions"]
    with quiet():
        pixels = processor(images=image, return_tensors="pt")["pixel_values"].to(components.device, model.dtype)
        # greedy, so that it is the same every time
        made = model.generate(pixel_values=pixels, max_new_tokens=longest, do_sample=False, num_beams=1)
    return processor.batch_decode(made, skip_special_tokens=True)[0].strip()


def _pipeline(components: Components, task: Any, role: str) -> Any:
    processor = _processor(components.model.folder, "AutoImageProcessor")
    with quiet():
        return pipeline(task, model=components[role], image_processor=processor, device=components.device)


@lru_cache(maxsize=16)
def _processor(folder: Path, kind: str) -> Any:
    loader: Any = getattr(transformers, kind)
    try:
        with LOAD_LOCK, quiet():
            return loader.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ModelError(f"the processor of {str(folder)!r} cannot be loaded: {error}") from error
