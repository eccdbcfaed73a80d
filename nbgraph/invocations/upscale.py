"""Upscaling by networks made for it: ESRGAN, SwinIR, DAT and similar ones."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from os.path import isfile
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import Field

from nbgraph import diffusion
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.denoise_inputs import model_problem
from nbgraph.invocations.fields import ImageField, UpscalerField
from nbgraph.invocations.inputs import RARE
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.pictures import check_size, open_picture


class UpscalerOutput(BaseInvocationOutput):
    """An upscaler."""

    upscaler: UpscalerField


@invocation("upscaler_loader", title="Upscaler", category="model", version="1.0.0", static=True)
class UpscalerLoader(BaseInvocation):
    """An upscaler from a .safetensors file: ESRGAN, SwinIR, DAT, HAT, Compact and many more.

    The file says of which architecture it is, and by how much it enlarges. All but Compact need the extra `upscale`.
    """

    upscaler_model: str = Field(
        title="Upscaler", description="Upscaler by its name in this studio, or the path of its .safetensors file"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "upscaler_model" not in known:
            return
        path = Path(context.models.file_of(known["upscaler_model"]))
        if path.suffix.lower() != ".safetensors" and isfile(path):
            yield "upscaler_model", f"is {path.name!r}, and must be a .safetensors file; pickles are never loaded"
            return
        yield from model_problem(known, "upscaler_model", "upscaler", context)

    def invoke(self, context: InvocationContext) -> UpscalerOutput:
        return UpscalerOutput(upscaler=UpscalerField(model=context.models.resolve(self.upscaler_model)))


@invocation("upscale", title="Upscale", category="image", version="1.0.0")
class Upscale(BaseInvocation):
    """An image enlarged, or restored, by a network.

    Large images are computed in tiles, each with a border of what lies around
    it, so that memory stays bounded and no seams show.
    """

    image: ImageField = Field(description="Image to enlarge; transparency is enlarged by interpolation")
    upscaler: UpscalerField = Field(description="Network that enlarges, from an Upscaler node")
    factor: float | None = Field(
        None,
        gt=0,
        le=16,
        description="Factor of the sides of the result, reached by resizing what the upscaler gives; its own without",
    )
    tile: int = Field(
        512, ge=0, le=4096, multiple_of=16, title="Tile size", description="Side of a tile in pixels; 0 is the whole"
    )
    overlap: int = Field(
        32, ge=0, le=512, multiple_of=16, description="Pixels around a tile that are computed with it and not kept"
    )
    tiles_at_once: int = Field(
        1,
        ge=1,
        le=64,
        description="Tiles that are computed together; more take more memory",
        json_schema_extra=RARE,
    )

    def batch_key(self, context: InvocationContext) -> Hashable:
        return self.model_dump_json(exclude={"image"})

    def batch_pixels(self, context: InvocationContext) -> int:
        return 0  # images come one by one; what is shared is the loaded network

    def invoke(self, context: InvocationContext) -> ImageOutput:
        return self.invoke_batch([self], [context])[0]

    @staticmethod
    def invoke_batch(nodes: Sequence["Upscale"], contexts: Sequence[InvocationContext]) -> list[ImageOutput]:
        first = nodes[0]
        done: list[Image.Image] = []
        with contexts[0].models.use(first.upscaler.model, "upscaler") as components:
            for node, context in zip(nodes, contexts):
                picture = open_picture(context, node.image)
                scale = max(components["upscaler"].scale, node.factor or 0)
                check_size(round(picture.width * scale), round(picture.height * scale))
                done.append(node._enlarged(components, picture, contexts[0]))
        return [context.images.output(image) for context, image in zip(contexts, done)]

    def _enlarged(self, components: Any, picture: Image.Image, context: InvocationContext) -> Image.Image:
        tiling = diffusion.Tiling(self.tile, self.overlap, self.tiles_at_once)
        made = diffusion.upscale(components, picture, tiling, context.progress)
        if self.factor is None:
            return made
        size = (max(1, round(picture.width * self.factor)), max(1, round(picture.height * self.factor)))
        return made if made.size == size else made.resize(size, Image.Resampling.LANCZOS)
