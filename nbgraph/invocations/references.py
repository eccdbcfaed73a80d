"""Editing by instruction: reference images for a model, and the instruction that speaks of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation, is_link
from nbgraph.invocations.denoise_steps import listed
from nbgraph.invocations.fields import ClipField, ImageField, ModelField, ReferenceField, VaeField
from nbgraph.invocations.outputs import ConditioningOutput
from nbgraph.invocations.prompt import save_conditioning


class ReferenceOutput(BaseInvocationOutput):
    """Reference images, with the autoencoder that encodes them."""

    reference: ReferenceField


@invocation("reference", title="Reference images", category="conditioning", version="1.0.0", static=True)
class Reference(BaseInvocation):
    """Images that a model for editing is shown, such as FLUX.1 Kontext, FLUX.2 and Qwen-Image-Edit.

    Link it to Denoise, and to the instruction as well: some models read the two together. The model's pipeline brings
    the images to the sizes that it was trained with; transparent parts become white.
    """

    image: ImageField | list[ImageField] = Field(
        title="Image", description="Image to edit, or a list of images that the instruction counts in this order"
    )
    vae: VaeField = Field(title="VAE", description="Autoencoder of the model for editing")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if known.get("image") == []:
            yield "image", "is an empty list; give at least one image, or leave the node out"

    def invoke(self, context: InvocationContext) -> ReferenceOutput:
        return ReferenceOutput(reference=ReferenceField(images=listed(self.image), vae=self.vae))


@invocation("edit_prompt", title="Edit instruction", category="conditioning", version="1.0.0")
class EditPrompt(BaseInvocation):
    """Encodes an instruction for a model for editing, together with its reference images where the model reads both.

    A negative instruction is encoded with the same images. For models whose text encoder reads no images it does the
    same as Prompt.
    """

    text: str = Field("", title="Instruction", description="What to change in the image, such as: make the sky red")
    clip: ClipField = Field(
        title="Text encoders",
        description="Part of a model that reads prompts, from a Model node or one that changes it, such as LoRA",
    )
    reference: ReferenceField | None = Field(
        None, title="Reference images", description="Images that the instruction speaks of; the same as at Denoise"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "clip" in known:
            yield from _processor_problems(known["clip"].model, context)
            yield from reference_problems(self.reference, known, known["clip"].model, context)

    def invoke(self, context: InvocationContext) -> ConditioningOutput:
        images = [context.images.get(image) for image in self.reference.images] if self.reference else []
        with context.models.use(self.clip.model, "text") as components:
            encoded = diffusion.encode_instruction(components, self.text, images)
        return save_conditioning(context, encoded, [self.text], self.clip)


def reference_problems(
    given: Any, known: Mapping[str, Any], model: ModelField, context: InvocationContext
) -> Iterator[tuple[str, str]]:
    """Yield (field, problem) for reference images that a model does not take, or that it needs.

    `given` is the input as it is in the graph: of images that other nodes make, only that there are some is known.
    """
    reference = known.get("reference")
    if "reference" not in known and not is_link(given):
        return
    try:
        described = context.models.describe(model)
        family = described.need_family()
        encoder = context.models.describe(reference.vae.model) if reference else None
        records = [context.images.record(image) for image in reference.images] if reference else []
    except NbgraphError:
        return  # the node that names the model or the image says so
    sizes = [(record.width, record.height) for record in records] if "reference" in known else None
    problem = diffusion.reference_problem(family, sizes)
    if not problem and encoder is not None:
        problem = diffusion.vae_problem(described, encoder)
    if problem:
        yield "reference", problem


def _processor_problems(model: ModelField, context: InvocationContext) -> Iterator[tuple[str, str]]:
    try:
        described = context.models.describe(model)
    except NbgraphError:
        return  # the node that names the model says so
    if problem := diffusion.processor_problem(described):
        yield "clip", problem


def load_references(context: InvocationContext, reference: ReferenceField, vae: Any) -> Any:
    """Return the reference images of a field, with the loaded autoencoder."""
    return diffusion.References([context.images.get(image) for image in reference.images], vae)
