"""What a running node may use: protocols, so that a node sees services only through what it is handed."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from PIL.Image import Image

from nbgraph.invocations.fields import ImageCategory, ImageField, ModelField


class InvocationContext(Protocol):
    """What a running node may use: the services, as far as a node needs them. The processor builds the object."""

    @property
    def images(self) -> "ImagesForNodes":
        """Pictures."""
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
        """Whether anybody would see a preview."""
        ...

    def progress(self, step: int, total: int, preview: Any = None, message: str = "") -> None:
        """Report that `step` of `total` steps are done; raises `CancelledError` if the run was cancelled.

        `preview` is a small PIL picture, or a function that draws one if somebody wants to see it.
        """
        ...

    def is_cancelled(self) -> bool:
        """Whether the run was cancelled; a long node asks from time to time, or calls `progress`."""
        ...

    def warn(self, message: str) -> None:
        """Tell the person something about a result that is still good."""
        ...


class ImagesForNodes(Protocol):
    """Pictures, for nodes."""

    def get(self, image: ImageField) -> Image:
        """The picture, a copy of the node's own."""
        ...

    def record(self, image: ImageField) -> Any:
        """What is known of the picture without opening it."""
        ...

    def output(
        self,
        image: Image,
        *,
        category: ImageCategory = "general",
        is_intermediate: bool | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Any:
        """Keep a picture, with what is to be known of it as JSON, and give the `ImageOutput` that names it."""
        ...


class TensorsForNodes(Protocol):
    """Latents, encoded prompts and masks, for nodes."""

    def get(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """(tensors, metadata)"""
        ...

    def save(self, value: Any, kind: str = "latents") -> str:
        """Keep a value that has `to_tensors()`; returns its name."""
        ...


class ModelsForNodes(Protocol):
    """Models, for nodes."""

    def resolve(self, name: str, parts: Mapping[str, str] | None = None) -> ModelField:
        """The model of that name, with other models for what it does not hold; `ModelNotFoundError` lists names."""
        ...

    def describe(self, model: ModelField) -> Any:
        """Family, sizes and classes, from the configuration files alone."""
        ...

    def use(self, model: ModelField, *names: str) -> AbstractContextManager[Any]:
        """Components by name or role (`text`, `denoiser`, `vae`), held inside the `with`."""
        ...

    def preview_factors(self, model: ModelField) -> Any:
        """What turns latents of that model into small pictures."""
        ...
