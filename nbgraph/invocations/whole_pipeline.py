"""Any pipeline of diffusers as one node, for models that cannot be run in pieces."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.refs import ModelPart
from nbgraph.errors import ModelError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation, is_link
from nbgraph.invocations.denoise_steps import listed
from nbgraph.invocations.fields import ImageField, ModelField, PipelineField, Seed
from nbgraph.invocations.pictures import open_mask, open_on_white


class PipelineOutput(BaseInvocationOutput):
    """A model as a pipeline that runs as a whole."""

    pipeline: PipelineField


class WholePipelineOutput(BaseInvocationOutput):
    """The images of a pipeline: the first with its size, and all of them."""

    main_field = "image"

    image: ImageField
    images: list[ImageField]
    width: int
    height: int
    seed: int


@invocation("pipeline_loader", title="Pipeline", category="model", version="1.0.0", static=True)
class PipelineLoader(BaseInvocation):
    """A model folder as the pipeline of diffusers that it names, to be run as a whole by Whole pipeline.

    For models that cannot be run in pieces, such as Kandinsky. Only classes of diffusers and transformers are
    loaded, from safetensors.
    """

    model: str = Field(description="Model by its name in this studio, or the path of a diffusers folder")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "model" in known:
            try:
                context.models.describe(self._resolved(known["model"], context))
            except ModelError as error:
                yield "model", str(error)

    def invoke(self, context: InvocationContext) -> PipelineOutput:
        return PipelineOutput(pipeline=PipelineField(model=self._resolved(self.model, context)))

    @staticmethod
    def _resolved(name: str, context: InvocationContext) -> ModelField:
        model = context.models.resolve(name)
        part = ModelPart(use=diffusion.WHOLE, path=model.path, fingerprint=model.fingerprint)
        return model.model_copy(update={"parts": (part,)})


@invocation("whole_pipeline", title="Whole pipeline", category="image", version="1.1.0")
class WholePipeline(BaseInvocation):
    """Runs a pipeline of diffusers in one call, with the parameters of its own signature.

    The usual ones are inputs; what is left out is the pipeline's own. All others are given in `arguments`, by name.
    """

    pipeline: PipelineField = Field(description="Model as a pipeline, from a Pipeline node")
    prompt: str | None = Field(None, description="What the image should show")
    negative_prompt: str | None = Field(None, description="What the image should not show")
    image: ImageField | list[ImageField] | None = Field(
        None, description="Image that the pipeline begins with or is shown, or a list; transparent parts become white"
    )
    mask_image: ImageField | None = Field(None, title="Mask", description="Where to paint: white is painted")
    control_image: ImageField | None = Field(
        None, description="Image that steers the pipeline, such as edges; transparent parts become white"
    )
    width: int | None = Field(None, gt=0, le=32_768, description="Width of the image in pixels")
    height: int | None = Field(None, gt=0, le=32_768, description="Height of the image in pixels")
    num_inference_steps: int | None = Field(None, ge=1, le=1000, title="Steps", description="Number of steps")
    guidance_scale: float | None = Field(None, ge=0, title="Guidance", description="How strongly the prompt counts")
    strength: float | None = Field(None, ge=0, le=1, description="How much of an image is changed, 0 to 1")
    seed: Seed = Field(None, description="The same seed gives the same image; drawn anew at every run if left out")
    arguments: dict[str, Any] = Field(
        {}, description="Further parameters of the pipeline, by name, as JSON values: numbers, texts, lists"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "pipeline" not in known:
            return
        model = context.models.describe(known["pipeline"].model)
        given = {name for name in _USUAL if known.get(name) is not None or is_link(getattr(self, name))}
        more: dict[str, Any] = known.get("arguments") or {}
        for name in sorted(given & more.keys()):
            yield "arguments", f"has {name!r}, which is an input already; give it once"
        for name, problem in diffusion.argument_problems(model, given | more.keys()):
            yield (name if name in _USUAL else "arguments"), f"{'' if name in _USUAL else f'{name!r} '}{problem}"

    def invoke(self, context: InvocationContext) -> WholePipelineOutput:
        given: dict[str, Any] = {name: getattr(self, name) for name in _USUAL if getattr(self, name) is not None}
        if self.image is not None:
            images = [open_on_white(context, image) for image in listed(self.image)]
            given["image"] = images if isinstance(self.image, list) else images[0]
        if self.mask_image is not None:
            given["mask_image"] = open_mask(context, self.mask_image)
        if self.control_image is not None:
            given["control_image"] = open_on_white(context, self.control_image)
        names = tuple(context.models.describe(self.pipeline.model).classes)
        with context.models.use(self.pipeline.model, *names) as components:
            made = diffusion.run_whole(
                components, {**given, **self.arguments}, self.seed or 0, context.progress, context.is_cancelled
            )
        saved = [context.images.output(image) for image in made]
        return WholePipelineOutput(
            image=saved[0].image,
            images=[each.image for each in saved],
            width=saved[0].width,
            height=saved[0].height,
            seed=self.seed or 0,
        )


_USUAL = (
    "prompt", "negative_prompt", "image", "mask_image", "control_image", "width", "height", "num_inference_steps",
    "guidance_scale", "strength",
)  # fmt: skip
"""Parameters that most pipelines have, each an input of the node."""
