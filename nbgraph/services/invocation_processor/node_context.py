"""The processor's `InvocationContext`: the services as a running node sees them."""

import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from msgspec import Struct
from PIL.Image import Image

from nbgraph.diffusion.refs import OffloadName, PrecisionName
from nbgraph.errors import CancelledError, ModelError, NbgraphWarning
from nbgraph.invocations.context import HasTensors, Preview
from nbgraph.invocations.fields import ImageField, ModelField, TensorKind
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.invocations.types import JsonObject
from nbgraph.services.events.events_common import NodeProgress, NodeWarned
from nbgraph.services.images.images_common import ImageCategory, ImageRecord
from nbgraph.services.latents.latents_common import TensorDict, Tensors
from nbgraph.services.neighbours import Services
from nbgraph.services.shared.graph.plan import Path, PlannedNode, prepared_id

if TYPE_CHECKING:
    from torch import Tensor

    from nbgraph.diffusion.components import Components
    from nbgraph.diffusion.description import ModelDescription


class NodeContext(Struct, weakref=True, eq=False):
    """The context of one prepared node, `planned` at `path`. A node may keep it; later reports still carry its id.

    Services are looked up when they are used, since most nodes are quick and use none.
    """

    services: Services
    session_id: str
    is_cancelled: Callable[[], bool]
    planned: PlannedNode | None = None
    path: Path = ()
    used: tuple[tuple[ModelField, tuple[str, ...]], ...] = ()
    """The models that the node has used, with the components of each: what takes less memory if it ran out."""

    @property
    def images(self) -> "ContextImages":
        """Pictures, saved in the name of this node."""
        return ContextImages(self)

    @property
    def tensors(self) -> "ContextTensors":
        """Latents, encoded prompts and masks."""
        return ContextTensors(self.services)

    @property
    def models(self) -> "ContextModels":
        """Models by name."""
        return ContextModels(self)

    @property
    def prepared_id(self) -> str:
        """The id of the prepared node that runs."""
        return prepared_id(self.planned.id, self.path) if self.planned is not None else ""

    @property
    def wants_previews(self) -> bool:
        """True if somebody listens."""
        return self.services.events.is_heard

    def progress(self, step: int, total: int, preview: Preview = None, message: str = "") -> None:
        """Report a step to listeners; raise `CancelledError` if the run was cancelled."""
        if self.is_cancelled():
            raise CancelledError(f"cancelled at step {step} of {total}")
        if self.services.events.is_heard:
            self.services.events.dispatch(
                NodeProgress(self.session_id, self.prepared_id, step, total, preview, message)
            )

    def warn(self, message: str) -> None:
        """Warn the person; Python's warnings show each text once per place."""
        self.services.events.dispatch(NodeWarned(self.session_id, self.prepared_id, message))
        warnings.warn(f"{self.prepared_id}: {message}", NbgraphWarning, stacklevel=3)


def take_less_memory(error: BaseException, context: NodeContext) -> str:
    """Let the models that a node has used take less memory of the device, if that ran out; return what has changed.

    The text is empty if nothing has: streaming and the like make no room in RAM. The frames of the error are cleared,
    since they hold tensors that the next try needs the room of.
    """
    if not context.used or type(error).__name__ != "OutOfMemoryError":
        return ""
    models = context.services.model_manager
    changes = [models.step_down(model, *names) for model, names in dict.fromkeys(context.used)]
    if changed := ", ".join(filter(None, changes)):
        traceback.clear_frames(error.__traceback__)
    return changed


class ContextImages:
    """Pictures, saved in the name of the node that runs."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._images = context.services.images

    def get(self, image: ImageField) -> Image:
        return self._images.get(image.image_name)

    def record(self, image: ImageField) -> ImageRecord:
        return self._images.record(image.image_name)

    def output(
        self,
        image: Image,
        *,
        category: ImageCategory = "general",
        is_intermediate: bool | None = None,
        metadata: JsonObject | None = None,
    ) -> ImageOutput:
        planned = self._context.planned
        if is_intermediate is None:
            is_intermediate = planned is not None and bool(planned.values["is_intermediate"])
        record = self._images.save(
            image,
            category=category,
            is_intermediate=is_intermediate,
            session_id=self._context.session_id,
            node_id=self._context.prepared_id,
            metadata=metadata,
        )
        return ImageOutput(image=ImageField(image_name=record.image_name), width=record.width, height=record.height)


class ContextTensors:
    """Latents, encoded prompts and masks."""

    def __init__(self, services: Services) -> None:
        self._latents = services.latents

    def get(self, name: str) -> tuple[TensorDict, JsonObject]:
        return self._latents.get(name)

    def save(self, value: HasTensors, kind: TensorKind = "latents") -> str:
        tensors, metadata = value.to_tensors()
        _check_finite(tensors, kind)
        return self._latents.save(tensors, kind=kind, metadata=metadata).name


def _check_finite(tensors: Tensors, kind: str) -> None:
    """`ModelError` for latents or conditioning with values that are not finite: they would be kept, and be black."""
    for name, tensor in tensors.items():
        # What a scheduler remembers may hold infinities.
        if not name.startswith("solver.") and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ModelError(
                f"the {kind} that this node made hold values that are not finite numbers (NaN or infinite), and are "
                "not kept; look at what it was given, and at what it does with it"
            )


class ContextModels:
    """Models by name: their descriptions, and their components while a node uses them."""

    def __init__(self, context: NodeContext) -> None:
        self._context, self._models = context, context.services.model_manager

    def resolve(
        self,
        name: str,
        parts: Mapping[str, str] | None = None,
        precision: PrecisionName | None = None,
        offload: OffloadName | None = None,
    ) -> ModelField:
        return self._models.resolve(name, parts, precision, offload)

    def file_of(self, name: str) -> str:
        return self._models.file_of(name)

    def check_precision(self, precision: PrecisionName) -> None:
        self._models.check_precision(precision)

    def describe(self, model: ModelField) -> "ModelDescription":
        return self._models.describe(model)

    def use(self, model: ModelField, *names: str, pixels: int = 0) -> "AbstractContextManager[Components]":
        self._context.used += ((model, names),)
        return self._models.use(model, *names, pixels=pixels)

    def preview_factors(self, model: ModelField) -> "Tensor":
        return self._models.preview_factors(model)
