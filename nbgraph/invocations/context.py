"""The context of a running node, as protocols: a node reaches services only through the context that it is given."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from PIL.Image import Image

from nbgraph.diffusion.refs import OffloadName, PrecisionName
from nbgraph.invocations.fields import ImageCategory, ImageField, ModelField, TensorKind
from nbgraph.invocations.types import JsonObject

if TYPE_CHECKING:
    from torch import Tensor

    from nbgraph.diffusion.components import Components
    from nbgraph.diffusion.description import ModelDescription
    from nbgraph.invocations.outputs import ImageOutput

Preview = Image | Callable[[], Image | None] | None


class InvocationContext(Protocol):
    """The services as far as a running node may use them. The processor builds the object."""

    @property
    def images(self) -> "ImagesForNodes":
        """Images."""
        ...

    @property
    def tensors(self) -> "TensorsForNodes":
        """Latents, encoded prompts and masks."""
        ...

    @property
    def models(self) -> "ModelsForNodes":
        """Models."""
        ...

    @property
    def prepared_id(self) -> str:
        """The id of the prepared node that runs: `denoise[1,0]`."""
        ...

    @property
    def wants_previews(self) -> bool:
        """True if a display would show a preview."""
        ...

    def progress(self, step: int, total: int, preview: Preview = None, message: str = "") -> None:
        """Report progress; a long node calls this often, so that it can be cancelled.

        Parameters
        ----------
        step, total
            `step` of `total` steps are done.
        preview
            A small image, or a function that makes one, which is called only if a display shows it.
        message
            What the node does, for the person.

        Raises
        ------
        CancelledError
            The run was cancelled.
        """
        ...

    def is_cancelled(self) -> bool:
        """Return whether the run was cancelled; a long node asks from time to time, or calls `progress`."""
        ...

    def warn(self, message: str) -> None:
        """Show the person a warning about a result that is still valid."""
        ...


class ImageFacts(Protocol):
    """The facts about an image, known without reading it: sizes in pixels, a PIL mode."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def mode(self) -> str: ...


class HasTensors(Protocol):
    """A value that is stored as tensors: `Latents`, `Conditioning`."""

    def to_tensors(self) -> "tuple[dict[str, Tensor], JsonObject]": ...


class ImagesForNodes(Protocol):
    """Images, for nodes."""

    def get(self, image: ImageField) -> Image:
        """Return a copy of an image, which the node may change."""
        ...

    def record(self, image: ImageField) -> ImageFacts:
        """Return the facts about an image, without reading its pixels."""
        ...

    def output(
        self,
        image: Image,
        *,
        category: ImageCategory = "general",
        is_intermediate: bool | None = None,
        metadata: JsonObject | None = None,
    ) -> "ImageOutput":
        """Save an image and return the output that refers to it.

        Parameters
        ----------
        image
            Any mode that PNG keeps without loss.
        category
            What it is, for the gallery.
        is_intermediate
            Keep it out of the gallery; None does what the node's `is_intermediate` says.
        metadata
            JSON values that are saved with it.
        """
        ...


class TensorsForNodes(Protocol):
    """Latents, encoded prompts and masks, for nodes."""

    def get(self, name: str) -> "tuple[dict[str, Tensor], JsonObject]":
        """Return (tensors by name, metadata)."""
        ...

    def save(self, value: HasTensors, kind: TensorKind = "latents") -> str:
        """Store a value and return its name.

        Raises
        ------
        ModelError
            A tensor has values that are not finite.
        """
        ...


class ModelsForNodes(Protocol):
    """Models, for nodes."""

    def resolve(
        self,
        name: str,
        parts: Mapping[str, str] | None = None,
        precision: PrecisionName | None = None,
        offload: OffloadName | None = None,
    ) -> ModelField:
        """Return the model of a name.

        Parameters
        ----------
        name
            A name of the studio, or a path.
        parts
            Models that supply components which it lacks: use -> name.
        precision
            What the weights of the denoiser are quantised to when they are loaded.
        offload
            Where the weights are while they compute; None leaves that to the settings.

        Raises
        ------
        ModelNotFoundError
            There is no such model.
        ModelError
            The precision needs a package or a device that is not here.
        """
        ...

    def file_of(self, name: str) -> str:
        """Return the path of a single file, such as a LoRA, by its name in this studio; any other text as it is."""
        ...

    def check_precision(self, precision: PrecisionName) -> None:
        """Raise `ModelError` unless weights can be quantised to that precision on the device models run on."""
        ...

    def describe(self, model: ModelField) -> "ModelDescription":
        """Return family, sizes and classes of a model, from its configuration files alone."""
        ...

    def use(self, model: ModelField, *names: str, pixels: int = 0) -> "AbstractContextManager[Components]":
        """Hold components on the device within the block, by name or role (`text`, `denoiser`, `vae`).

        `pixels` are those of all images that the denoiser will work on, by which it is chosen how it is offloaded. A
        node that runs out of memory of the device is run once more, with the components it has used taking less of it.
        """
        ...

    def preview_factors(self, model: ModelField) -> "Tensor":
        """Return the factors that convert latents of a model to small images: (latent channels + 1, 3)."""
        ...
