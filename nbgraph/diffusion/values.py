"""Latents and conditioning: the values between the steps of generating an image, and their form in files.

Both are frozen and on the CPU. `to_tensors` gives named tensors and JSON-able metadata, which is what a safetensors
file holds; `from_tensors` is its inverse. Neither ever holds a module.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor

from nbgraph.errors import ModelError

_COMBINED = "combined conditioning"


@dataclass(frozen=True)
class Window:
    """How far an image has been denoised: the steps `start` to `end` of `steps`, by `scheduler`, were done.

    `scheduler` is a name, `solver` the class of diffusers behind it. `level` is the noise of latents that stopped
    part-way, as `masks.noise_level` returns it, and `options` the changes to the schedule. All are unknown ("" and
    None) in latents that were stored before these were recorded.
    """

    start: int
    end: int
    steps: int
    scheduler: str
    solver: str = ""
    level: tuple[float, float] | None = None
    options: str = ""

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> "Window | None":
        """Return the inverse of `dataclasses.asdict` and JSON; None for None."""
        if not value:
            return None
        level: Any = value.get("level")
        known: dict[str, Any] = {**value, "level": None if level is None else (level[0], level[1])}
        return cls(**known)


@dataclass(frozen=True)
class Latents:
    """Latents or noise of one or several images of one size.

    `tensor` is (B, channels, height / factor, width / factor), float32, always spatial; only the pipeline packs it.
    `width` and `height` are pixels. `rng_states` (B, 5056) uint8 are the states of the generators after the draws made
    so far, so that later random steps continue after the noise. `window` and `solver` are None unless denoising stopped
    part-way; then `solver` is the state that a multistep scheduler needs to continue.
    """

    tensor: Tensor
    family: str
    width: int
    height: int
    seeds: tuple[int, ...] = ()
    rng_states: Tensor | None = None
    window: Window | None = None
    solver: dict[str, Any] | None = None

    def __len__(self) -> int:
        return self.tensor.shape[0]

    @property
    def unfinished(self) -> bool:
        """Whether denoising stopped part-way, so that these still hold noise."""
        return self.window is not None and self.window.end < self.window.steps

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return named tensors and JSON-able metadata."""
        tensors = {"latents": self.tensor}
        if self.rng_states is not None:
            tensors["rng_states"] = self.rng_states
        solver = None
        if self.solver is not None:
            solver = {name: _store(value, f"solver.{name}", tensors) for name, value in self.solver.items()}
        metadata = {
            "kind": "latents",
            "family": self.family,
            "width": self.width,
            "height": self.height,
            "seeds": list(self.seeds),
            "window": asdict(self.window) if self.window else None,
            "solver": solver,
        }
        return tensors, metadata

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> "Latents":
        """Return the inverse of `to_tensors`; raise `ModelError` when the metadata is of another kind."""
        _expect(metadata, "latents")
        solver = metadata.get("solver")
        return cls(
            tensor=tensors["latents"],
            family=metadata["family"],
            width=metadata["width"],
            height=metadata["height"],
            seeds=tuple(metadata.get("seeds", ())),
            rng_states=tensors.get("rng_states"),
            window=Window.from_json(metadata.get("window")),
            solver={name: _restore(value, tensors) for name, value in solver.items()} if solver is not None else None,
        )


@dataclass(frozen=True)
class SizeConditioning:
    """The sizes, in pixels, that some models (SDXL) are conditioned on besides the text.

    `original` is the size before the image was cropped at `crop`, `target` the size it should look made for, all as
    (width, height) or (left, top). None is the size that is generated.
    """

    original: tuple[int, int] | None = None
    crop: tuple[int, int] = (0, 0)
    target: tuple[int, int] | None = None

    @classmethod
    def from_json(cls, value: dict[str, Any] | None) -> "SizeConditioning | None":
        """Return the inverse of `dataclasses.asdict` and JSON; None for None."""
        return None if value is None else cls(**{name: pair and (pair[0], pair[1]) for name, pair in value.items()})


@dataclass(frozen=True)
class Conditioning:
    """One or several encoded texts, as the keyword arguments that the family's pipeline takes for its positive prompt.

    `tensors` are by name, (B, tokens, width) or (B, width); for the negative prompt they are passed under `negative_` +
    name. `tokens` counts the tokens of the text and `token_limit` those the model takes; `cut` is the text that was
    dropped for it, and `unknown` the words the tokenizer has no token for. `size` is for models that are conditioned on
    sizes; None is the size that is generated.

    `others` are further prompts for the same images, combined with this one: each counts by its `strength` where its
    `mask`, (H, W) uint8, is not black; without a mask everywhere.
    """

    tensors: dict[str, Tensor]
    family: str
    text: str = ""
    tokens: int = 0
    token_limit: int = 0
    cut: str = ""
    unknown: tuple[str, ...] = field(default=())
    size: SizeConditioning | None = None
    mask: Tensor | None = None
    strength: float = 1.0
    others: tuple["Conditioning", ...] = ()
    lengths: tuple[int, ...] = ()
    """The tokens of each text that `tensors` are padded from, within a run; () for texts of one length."""

    def __len__(self) -> int:
        return next(iter(self.tensors.values())).shape[0]

    @property
    def prompts(self) -> tuple["Conditioning", ...]:
        """This prompt and all that are combined with it, each alone."""
        return (replace(self, others=()), *self.others)

    @property
    def is_combined(self) -> bool:
        """Whether it is more than one prompt that counts everywhere alike."""
        return bool(self.others) or self.mask is not None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what the model does not see of the text; empty when it sees all of it."""
        found: list[str] = []
        if self.cut:
            found.append(
                f"the text has {self.tokens} tokens and the model takes {self.token_limit}; not used: {self.cut!r}"
            )
        if self.unknown:
            found.append(f"the model does not know: {', '.join(map(repr, self.unknown))}")
        return tuple(found)

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return named tensors and JSON-able metadata."""
        metadata: dict[str, Any] = {
            "kind": "conditioning",
            "family": self.family,
            "text": self.text,
            "tokens": self.tokens,
            "token_limit": self.token_limit,
            "cut": self.cut,
            "unknown": list(self.unknown),
            "size": asdict(self.size) if self.size else None,
        }
        tensors = dict(self.tensors)
        if self.is_combined or self.strength != 1.0:
            # another kind, so that a version that knows no parts does not read the first alone
            metadata |= {"kind": _COMBINED, "strength": self.strength, "others": []}
            if self.mask is not None:
                tensors["mask"] = self.mask
            for number, other in enumerate(self.others):
                named, facts = other.to_tensors()
                tensors |= {f"others.{number}.{name}": tensor for name, tensor in named.items()}
                metadata["others"].append(facts)
        return tensors, metadata

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> "Conditioning":
        """Return the inverse of `to_tensors`; raise `ModelError` when the metadata is of another kind."""
        if metadata.get("kind") != _COMBINED:
            _expect(metadata, "conditioning")
        known = {name: metadata[name] for name in ("family", "text", "tokens", "token_limit", "cut")}
        others: list[Conditioning] = []
        for number, facts in enumerate(metadata.get("others", ())):
            start = f"others.{number}."
            named = {name.removeprefix(start): each for name, each in tensors.items() if name.startswith(start)}
            others.append(cls.from_tensors(named, facts))
        return cls(
            tensors={name: each for name, each in tensors.items() if name != "mask" and not name.startswith("others.")},
            unknown=tuple(metadata["unknown"]),
            size=SizeConditioning.from_json(metadata.get("size")),
            mask=tensors.get("mask"),
            strength=metadata.get("strength", 1.0),
            others=tuple(others),
            **known,
        )


def _expect(metadata: dict[str, Any], kind: str) -> None:
    if metadata.get("kind") != kind:
        raise ModelError(f"these tensors are {metadata.get('kind', 'of no kind')!r} and not {kind!r}")


def _store(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Return JSON for `value`, its tensors put into `tensors` and named in it as {"tensor": name}."""
    if isinstance(value, Tensor):
        tensors[name] = value.contiguous()
        return {"tensor": name}
    if isinstance(value, (list, tuple)):
        return [_store(item, f"{name}.{number}", tensors) for number, item in enumerate(cast(Sequence[Any], value))]
    return value


def _restore(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        return tensors[value["tensor"]]
    if isinstance(value, list):
        return [_restore(item, tensors) for item in cast(list[Any], value)]
    return value


def generator_states(generators: list[torch.Generator]) -> Tensor:
    """Return the states of CPU generators, (B, 5056) uint8."""
    return torch.stack([generator.get_state() for generator in generators])


def generators_of(latents: Latents) -> list[torch.Generator]:
    """Return one CPU generator for each image, in the state that `latents` hold, else seeded by `seeds`, else by 0."""
    generators = [torch.Generator("cpu") for _ in range(len(latents))]
    for number, generator in enumerate(generators):
        if latents.rng_states is not None:
            generator.set_state(latents.rng_states[number].clone())
        else:
            generator.manual_seed(latents.seeds[number] if number < len(latents.seeds) else 0)
    return generators
