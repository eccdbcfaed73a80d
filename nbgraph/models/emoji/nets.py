"""The networks, tokenizers and pipelines that training uses, as types; the one place that takes them without types.

diffusers and transformers are typed in part only, and so are some functions of torch. What is taken from them here has
the types of the protocols below, so that the rest of this package is checked.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from numpy.typing import NDArray

_tiny: Any = AutoencoderTiny
_pipeline: Any = StableDiffusionPipeline


class Stateful(Protocol):
    """A network whose weights are kept in a checkpoint."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the weights by name."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, torch.Tensor]) -> object:
        """Take weights by name."""
        ...


class Encoded(Protocol):
    """What an encoder returns: `latents`, (n, channels, 16, 16), unscaled."""

    latents: torch.Tensor


class Decoded(Protocol):
    """What a decoder returns: `sample`, (n, 3, side, side) in [-1, 1]."""

    sample: torch.Tensor


class Half(Protocol):
    """The encoder or the decoder of an autoencoder."""

    layers: Sequence[Any]

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Return the weights."""
        ...

    def train(self) -> object:
        """Switch to training."""
        ...


class Autoencoder(Stateful, Protocol):
    """`AutoencoderTiny` of diffusers."""

    config: Any
    encoder: Half
    decoder: Half

    def encode(self, x: torch.Tensor) -> Encoded:
        """Encode pictures (n, 3, side, side) in [-1, 1]."""
        ...

    def decode(self, x: torch.Tensor) -> Decoded:
        """Decode unscaled latents."""
        ...

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Return the weights."""
        ...

    def to(self, *where: object, **options: object) -> "Autoencoder":
        """Move it to a device, or to another layout of memory, in place."""
        ...

    def train(self) -> "Autoencoder":
        """Switch to training."""
        ...

    def eval(self) -> "Autoencoder":
        """Switch to use."""
        ...

    def cpu(self) -> "Autoencoder":
        """Move it to the CPU, in place."""
        ...

    def register_to_config(self, **values: object) -> object:
        """Set values of the configuration."""
        ...

    def save_pretrained(self, save_directory: Path) -> object:
        """Write it as a folder."""
        ...


class TokenizedText(Protocol):
    """The tokens of a text, and where in the text each begins and ends."""

    input_ids: list[int]
    offset_mapping: list[tuple[int, int]]


class WordTokenizer(Protocol):
    """`PreTrainedTokenizerFast` of transformers, with all of its special tokens."""

    bos_token_id: int
    eos_token_id: int
    pad_token_id: int
    unk_token_id: int

    def __len__(self) -> int:
        """Return how many tokens it knows."""
        ...

    def __call__(self, text: str, **options: bool) -> TokenizedText:
        """Return the tokens of a text."""
        ...


class Drawn(Protocol):
    """What a pipeline returns: `images`, (n, 3, side, side) in [0, 1] with `output_type="pt"`.

    With `output_type="latent"` they are scaled latents (n, channels, 16, 16).
    """

    images: torch.Tensor


class Pipeline(Protocol):
    """`StableDiffusionPipeline` of diffusers."""

    def __call__(self, prompt: list[str], **options: object) -> Drawn:
        """Draw one picture for each prompt."""
        ...

    def set_progress_bar_config(self, **options: bool) -> None:
        """Change the progress bar."""
        ...

    def save_pretrained(self, save_directory: Path) -> object:
        """Write it as a folder."""
        ...

    def to(self, device: str) -> "Pipeline":
        """Move it to a device, in place."""
        ...


def new_autoencoder(**config: object) -> Autoencoder:
    """Return an untrained autoencoder with a configuration as diffusers has it."""
    return _tiny(**config)


def load_autoencoder(folder: Path, dtype: torch.dtype) -> Autoencoder:
    """Return the autoencoder in a folder."""
    return _tiny.from_pretrained(folder, torch_dtype=dtype)


def autoencoder_config(folder: Path) -> Mapping[str, Any]:
    """Return the configuration of the autoencoder in a folder."""
    return _tiny.load_config(folder)


def load_pipeline(folder: Path, dtype: torch.dtype) -> Pipeline:
    """Return the whole model in a folder, without a safety checker."""
    return _pipeline.from_pretrained(folder, dtype=dtype, safety_checker=None)


def new_pipeline(**components: object) -> Pipeline:
    """Return a whole model of components, as diffusers names them."""
    return _pipeline(**components)


def is_half_faster(device: torch.device) -> bool:
    """Whether a network trains faster in half precision: on a GPU, and on a CPU that has instructions for it.

    A CPU that has them takes half the time; one that has not, half again as much.
    """
    return device.type != "cpu" or cast(Any, torch.cpu)._is_avx512_bf16_supported()


def seed_torch(seed: int) -> None:
    """Seed the generator that torch draws from where none is given."""
    cast(Any, torch).manual_seed(seed)


def backpropagate(loss: torch.Tensor) -> None:
    """Add the gradients of a loss to those of the weights."""
    cast(Any, loss).backward()


def split(tensor: torch.Tensor, size: int) -> tuple[torch.Tensor, ...]:
    """Return a tensor in parts of at most `size` rows."""
    return cast(Any, tensor).split(size)


def integers(tensor: torch.Tensor) -> list[int]:
    """Return a tensor of integers, (n,), as a list."""
    return cast(Any, tensor).tolist()


def from_array(array: "NDArray[np.uint8]") -> torch.Tensor:
    """Return a tensor that shares the memory of an array."""
    return cast(Any, torch).from_numpy(array)
