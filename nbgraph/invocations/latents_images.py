"""Between latents and images: decode and encode."""

from collections.abc import Hashable, Sequence
from typing import Annotated

from pydantic import Field

from nbgraph import diffusion
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ImageField, LatentsField, Vae
from nbgraph.invocations.inputs import RARE
from nbgraph.invocations.latents import load_latents, save_latents
from nbgraph.invocations.outputs import ImageOutput, LatentsOutput

Tiled = Annotated[
    bool,
    Field(
        description="Work in overlapping tiles: less memory for large images, faint seams at worst",
        json_schema_extra=RARE,
    ),
]


@invocation("l2i", title="Latents to image", category="latents", version="1.0.0")
class LatentsToImage(BaseInvocation):
    """Decodes latents to a picture; `tiled` takes less memory for large ones."""

    latents: LatentsField = Field(description="Latents to decode")
    vae: Vae
    tiled: Tiled = False

    def batch_key(self, context: InvocationContext) -> Hashable:
        return self.model_dump_json(exclude={"latents"}), diffusion.shape_key(load_latents(context, self.latents))

    def batch_pixels(self, context: InvocationContext) -> int:
        latents = load_latents(context, self.latents)
        return latents.width * latents.height * len(latents)

    def invoke(self, context: InvocationContext) -> ImageOutput:
        return self.invoke_batch([self], [context])[0]

    @staticmethod
    def invoke_batch(nodes: Sequence["LatentsToImage"], contexts: Sequence[InvocationContext]) -> list[ImageOutput]:
        first = nodes[0]
        latents = [load_latents(context, node.latents) for node, context in zip(nodes, contexts)]
        pixels = sum(one.width * one.height * len(one) for one in latents)
        with contexts[0].models.use(first.vae.model, "vae") as components:
            is_tight = diffusion.decode_needs_tiles(components, pixels)
            if is_tight and not first.tiled:
                contexts[0].warn("decoding would not fit into the free memory, so it is done in tiles; faint seams")
            pictures = diffusion.decode_together(components, latents, first.tiled or is_tight)
        return [context.images.output(found[0]) for context, found in zip(contexts, pictures)]


@invocation("i2l", title="Image to latents", category="latents", version="1.0.0")
class ImageToLatents(BaseInvocation):
    """Encodes a picture, what is transparent as white; the mean of what the autoencoder gives, so always the same."""

    image: ImageField = Field(description="Image to encode; transparent parts become white")
    vae: Vae
    tiled: Tiled = False

    def batch_key(self, context: InvocationContext) -> Hashable:
        record = context.images.record(self.image)
        return self.model_dump_json(exclude={"image"}), record.width, record.height

    def batch_pixels(self, context: InvocationContext) -> int:
        record = context.images.record(self.image)
        return record.width * record.height

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        return self.invoke_batch([self], [context])[0]

    @staticmethod
    def invoke_batch(nodes: Sequence["ImageToLatents"], contexts: Sequence[InvocationContext]) -> list[LatentsOutput]:
        first = nodes[0]
        pictures = [context.images.get(node.image) for node, context in zip(nodes, contexts)]
        with contexts[0].models.use(first.vae.model, "vae") as components:
            encoded = diffusion.encode_together(components, pictures, first.tiled)
        return [save_latents(context, latents) for context, latents in zip(contexts, encoded)]
