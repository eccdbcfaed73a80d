"""Metadata nodes: facts about an image by label, which are saved with it."""

from typing import Any

from pydantic import Field
from pydantic_core import PydanticSerializationError, to_jsonable_python

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.fields import MetadataField, MetadataItemField, ModelField, UNetField, VaeField


class MetadataItemOutput(BaseInvocationOutput):
    """One fact about an image."""

    item: MetadataItemField


class MetadataOutput(BaseInvocationOutput):
    """Facts about an image."""

    metadata: MetadataField


@invocation("metadata_item", title="Metadata item", category="metadata", version="1.0.0")
class MetadataItem(BaseInvocation):
    """One fact about an image: a label and any value that JSON can hold."""

    label: str = Field(min_length=1, max_length=200, description="Name under which the value is recorded")
    value: Any = Field(description="Value that JSON can hold")

    def invoke(self, context: InvocationContext) -> MetadataItemOutput:
        try:
            # here, not when an image is saved at the end of a long run
            value = to_jsonable_python(self.value)
        except (PydanticSerializationError, ValueError) as error:
            kind = type(self.value).__name__
            raise NbgraphError(f"the value of {self.label!r} is a {kind}, which JSON cannot hold: {error}") from None
        return MetadataItemOutput(item=MetadataItemField(label=self.label, value=value))


@invocation("metadata", title="Metadata", category="metadata", version="1.0.0")
class Metadata(BaseInvocation):
    """Metadata of one item or several; of items with one label the last one counts."""

    items: MetadataItemField | list[MetadataItemField] = Field(description="Item or list of items")

    def invoke(self, context: InvocationContext) -> MetadataOutput:
        items = self.items if isinstance(self.items, list) else [self.items]
        return MetadataOutput(metadata=MetadataField(values={item.label: item.value for item in items}))


@invocation("merge_metadata", title="Merge metadata", category="metadata", version="1.0.0")
class MergeMetadata(BaseInvocation):
    """Several metadata in one; where a label is in more than one, the last one counts."""

    collection: list[MetadataField] = Field(
        title="Metadata", description="Metadata to merge; later ones replace earlier ones of the same label"
    )

    def invoke(self, context: InvocationContext) -> MetadataOutput:
        values = {label: value for each in self.collection for label, value in each.values.items()}
        return MetadataOutput(metadata=MetadataField(values=values))


@invocation("core_metadata", title="Core metadata", category="metadata", version="1.0.0")
class CoreMetadata(BaseInvocation):
    """Metadata of an image under their usual names; inputs that are left out are not recorded.

    A model is recorded by its name, its fingerprint and its patches, such as LoRAs.
    """

    generation_mode: str | None = Field(None, description="How the image was made, such as txt2img or inpaint")
    positive_prompt: str | None = Field(None, description="What the image should show")
    negative_prompt: str | None = Field(None, description="What the image should not show")
    width: int | None = Field(None, gt=0, description="Width in pixels")
    height: int | None = Field(None, gt=0, description="Height in pixels")
    seed: int | None = Field(None, ge=0, description="Seed of the noise")
    steps: int | None = Field(None, ge=1, description="Number of denoising steps")
    cfg_scale: float | None = Field(
        None, ge=0, title="Guidance", description="How strongly the image followed the prompt"
    )
    scheduler: str | None = Field(None, description="Name of the scheduler")
    strength: float | None = Field(None, ge=0, le=1, description="How much of the original image was changed, 0 to 1")
    model: UNetField | None = Field(
        None, description="Model; recorded are its name, its fingerprint and changes such as LoRAs"
    )
    vae: VaeField | None = Field(None, title="VAE", description="Autoencoder, if not the model's own")

    def invoke(self, context: InvocationContext) -> MetadataOutput:
        given = {name: getattr(self, name) for name in self.inputs()}
        values = {
            name: _described(value.model) if isinstance(value, UNetField | VaeField) else value
            for name, value in given.items()
            if value is not None
        }
        return MetadataOutput(metadata=MetadataField(values=values))


def _described(model: ModelField) -> dict[str, Any]:
    patches = [patch.model_dump(mode="json") for patch in model.patches]
    return {"name": model.name, "fingerprint": model.fingerprint} | ({"patches": patches} if patches else {})
