"""What a model folder is, read from its configuration files alone: no weights are touched."""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from diffusers import DiffusionPipeline

from nbgraph.diffusion.classes import component_class, component_rows, pipeline_options
from nbgraph.diffusion.families import Family, family_of_class
from nbgraph.diffusion.fingerprints import file_identity, resolve_folder
from nbgraph.diffusion.model_files import read_json
from nbgraph.diffusion.refs import WHOLE, ModelRef
from nbgraph.diffusion.sources import Source
from nbgraph.diffusion.weights_fit import check_fits, has_weights, weightless
from nbgraph.diffusion.whole_families import whole_reason
from nbgraph.errors import ModelError, ModelNotFoundError, suggest

_SILENCED = ("requires_safety_checker", "add_watermarker")
_ROLES = ("text", "denoiser")
_OF_TEXT = ("text_encoder", "tokenizer", "processor")
_DEFAULT_PIXELS = 1024
_INPAINTING = "inpainting"
_INPAINTED = ("stable-diffusion", "stable-diffusion-xl", "flux")
"""Families whose denoisers for inpainting are supported."""
_CHANNELS_KNOWN = (*_INPAINTED, "stable-diffusion-3", "chroma", "qwenimage", "z-image", "flux-kontext", "flux2")
"""Families whose plain denoisers take exactly the channels of their latents."""
_COMPONENT_ROLES = {
    "Autoencoder": "vae", "AsymmetricAutoencoder": "vae", "ControlNet": "controlnet",
    "SD3ControlNet": "controlnet", "FluxControlNet": "controlnet", "QwenImageControlNet": "controlnet",
    "ZImageControlNet": "controlnet",
    "T2IAdapter": "t2i_adapter",
    "CLIPVisionModelWithProjection": "image_encoder", "CLIPModel": "image_encoder",
    "SiglipVisionModel": "image_encoder", "SiglipModel": "image_encoder",
}  # fmt: skip

_READERS_BY_END = {
    "ForDepthEstimation": "depth",
    "ForSemanticSegmentation": "segments",
    "ForUniversalSegmentation": "segments",
    "ForInstanceSegmentation": "segments",
}
_READERS_BY_NAME = {"SamModel": "clicks", "SamHQModel": "clicks", "Sam2Model": "clicks"}
_CAPTIONS = ("BlipForConditionalGeneration", "GitForCausalLM", "VisionEncoderDecoderModel")


@dataclass(frozen=True)
class ModelDescription:
    """A model folder in the diffusers layout, or a folder that holds one component of one (a VAE, a ControlNet)."""

    folder: Path
    family: Family | None
    """None for a folder that holds one component."""
    classes: dict[str, type]
    """The class of each component the folder has, by its name in `model_index.json`."""
    options: dict[str, Any]
    """Entries of `model_index.json` that are no components, such as `force_zeros_for_empty_prompt`."""
    latent_channels: int
    vae_scale_factor: int
    """Pixels of an image for one latent, along one side."""
    multiple_of: int
    """Width and height in pixels must be multiples of this."""
    width: int
    height: int
    """The size in pixels the model draws best, its own default."""
    vae: Any = field(repr=False, compare=False)
    """The VAE with its configuration but no weights, for pipelines that only ask for its numbers; None without one."""
    sources: Mapping[str, Source] = field(repr=False, compare=False)
    """Where each component of `classes` comes from."""
    inpaints: bool = False
    """Whether the denoiser takes a mask and the masked image as further channels."""

    def need_family(self) -> Family:
        """Return the family; raise `ModelError` for a single component, which cannot generate."""
        if self.family is None:
            raise ModelError(
                f"{str(self.folder)!r} holds only {', '.join(self.classes)}, and no whole model. "
                "Give a folder with a model_index.json"
            )
        return self.family

    def config(self, name: str) -> dict[str, Any]:
        """Return the configuration of a component; raise `ModelError` when it cannot be read."""
        return self.sources[name].config("scheduler_config.json" if name == "scheduler" else "config.json")

    def component_names(self, *names: str) -> tuple[str, ...]:
        """Return components by name or role: `text` is all encoders and tokenizers, `denoiser` UNet or transformer."""
        found: list[str] = []
        for name in names:
            if name == "text":
                found += [known for known in self.classes if known.startswith(_OF_TEXT)]
            elif name == "denoiser":
                found.append(self.need_family().denoiser)
            elif name in self.classes:
                found.append(name)
            else:
                raise ModelError(
                    f"the model {str(self.folder)!r} has no component {name!r}{suggest(name, (*self.classes, *_ROLES))}"
                )
        return tuple(dict.fromkeys(found))

    def check_complete(self, *names: str) -> None:
        """Raise `ModelError` if there are no files for the model, or for these components of it."""
        wanted = self.component_names(*names) if names else self.classes
        lacking = [n for n in wanted if self.sources[n].is_empty and has_weights(self.classes[n])]
        if not names and any(source.file is not None for source in self.sources.values()):
            lacking += [n for n in self._encoders() if n not in self.classes]
        if lacking:
            raise ModelError(
                f"{str(self.folder)!r} holds no {' and no '.join(lacking)}; give parts=MODEL, a model of the same kind "
                "that has them, by name or path"
            )

    def _encoders(self) -> list[str]:
        """Return the text encoders that the family needs; the T5 of SD3 may be missing."""
        family = self.need_family()
        names = [n for n in inspect.signature(family.pipeline().__init__).parameters if n.startswith("text_encoder")]
        return [name for name in names if name != "text_encoder_3"]

    def check_size(self, width: int, height: int) -> None:
        """Raise `ModelError` unless width and height, in pixels, are positive multiples of `multiple_of`."""
        for name, value in (("width", width), ("height", height)):
            if problem := self.side_problem(name, value):
                raise ModelError(problem)

    def side_problem(self, side: str, pixels: int) -> str:
        """Return the problem of the length of a side, with its name; "" if the model can generate it."""
        if pixels > 0 and pixels % self.multiple_of == 0:
            return ""
        near = max(self.multiple_of, round(pixels / self.multiple_of) * self.multiple_of)
        multiples = f"this model draws in multiples of {self.multiple_of} pixels; the nearest is {near}"
        return f"{side} is {pixels}, but {multiples}"


def describe_model(model: ModelRef | str | Path) -> ModelDescription:
    """Return the description of a model.

    Raises
    ------
    ModelNotFoundError
        There is no model at that path.
    ModelError
        The model cannot be used.
    """
    if not isinstance(model, ModelRef):
        folder = resolve_folder(model)
        if folder.is_dir():
            return _describe(folder, _stamp(folder))
        model = ModelRef.from_path(str(model))
    path = resolve_folder(model.path)
    if any(part.use == WHOLE for part in model.parts):
        from nbgraph.diffusion.whole_pipelines import describe_whole

        return describe_whole(path, model.fingerprint)
    if model.parts or path.is_file():
        from nbgraph.diffusion.assembly import describe_assembled

        return describe_assembled(model.path, model.fingerprint, model.parts)
    return _describe(path, model.fingerprint)


def check_weights(model: ModelRef, *names: str) -> None:
    """Raise `ModelError` if weights of a model, or of its components of those names or roles, are not the model's own.

    Only headers are read, once for each content. A component without safetensors files is checked when it is loaded.
    """
    description = describe_model(model)
    description.check_complete(*names)
    for name in description.component_names(*names) if names else description.classes:
        source = description.sources[name]
        if source.folder is None and has_weights(description.classes[name]):
            _check_file(description.classes[name], source)
        elif source.folder is not None and any(source.folder.glob("*.safetensors")):
            _check_fits(description.classes[name], source.folder, model.variant, source.fingerprint)


@lru_cache(maxsize=256)
def _check_fits(component: type, folder: Path, variant: str | None, content: str) -> None:
    check_fits(component, folder, variant)


@lru_cache(maxsize=256)
def _check_file(component: type, source: Source) -> None:
    from nbgraph.diffusion.single_files import check_file

    check_file(component, source)


def _stamp(folder: Path) -> str:
    return "|".join(f"{p}:{file_identity(p)}" for p in sorted(folder.glob("*.json")) + sorted(folder.glob("*/*.json")))


@lru_cache(maxsize=256)
def _describe(folder: Path, content: str) -> ModelDescription:
    if (folder / "model_index.json").is_file():
        return _describe_pipeline(folder, read_json(folder / "model_index.json"), content)
    if (folder / "config.json").is_file():
        return _describe_component(folder, read_json(folder / "config.json"), content)
    raise ModelNotFoundError(
        f"the folder {str(folder)!r} is no model: it has neither a model_index.json (a whole model "
        "in the diffusers layout) nor a config.json (one component)"
    )


def _describe_pipeline(folder: Path, index: dict[str, Any], content: str) -> ModelDescription:
    family = family_of_class(str(index.get("_class_name")))
    if reason := whole_reason(family):
        raise ModelError(
            f"models of the family {family.key!r} are not run step by step: {reason}; run {str(folder)!r} as a whole, "
            "by WholePipeline(pipeline=PipelineLoader(model=...))"
        )
    classes = {name: component_class(folder, name, *row) for name, row in component_rows(index).items()}
    missing = [name for name in (family.denoiser, "vae", "scheduler") if name not in classes]
    if missing:
        raise ModelError(
            f"the model_index.json of {str(folder)!r} names no {' and no '.join(missing)}, which a model of "
            f"the family {family.key!r} needs (it names: {', '.join(classes) or 'nothing'})"
        )
    absent = [name for name in classes if not (folder / name).is_dir()]
    classes = {name: value for name, value in classes.items() if name not in absent}
    if needed := [name for name in absent if _is_needed(name, family)]:
        raise ModelError(
            f"the model {str(folder)!r} is incomplete: its model_index.json names {', '.join(needed)}, but "
            "there is no such folder in it. Copy or download it again"
        )
    path = str(folder)
    sources = {name: Source(path, content, folder / name, content=content) for name in classes}
    return describe_pipeline(folder, family, classes, index, sources)


def describe_pipeline(
    path: Path, family: Family, classes: dict[str, type], index: Mapping[str, Any], sources: Mapping[str, Source]
) -> ModelDescription:
    """Return the description of a whole model; raise `ModelError` for one whose pipeline is not text to image."""
    if index.get("requires_aesthetics_score"):
        raise ModelError(
            f"the model {str(path)!r} is an SDXL refiner, which goes over pictures of a base model and draws none by "
            "itself; nbgraph has no step for it. Use an SDXL base model"
        )
    options = pipeline_options(index)
    found = _measure(path, family, classes, options, sources)
    return replace(found, inpaints=_task_of(found) == _INPAINTING)


def _is_needed(component: str, family: Family) -> bool:
    return component in (family.denoiser, "vae", "scheduler") or component.startswith(_OF_TEXT)


def _task_of(model: ModelDescription) -> str:
    """Return the task of the denoiser by its channels: "" for plain steps, or inpainting.

    Raises
    ------
    ModelError
        The denoiser takes another kind of image as further channels, which no node provides.
    """
    family, latents = model.need_family(), model.latent_channels
    given = model.config(family.denoiser).get("in_channels")
    kinds = {2 * latents + 1: _INPAINTING, 2 * latents: "instruct-pix2pix", latents + 1: "depth"}
    plain = latents
    if family.packed:
        plain, patch = 4 * latents, 4 * model.vae_scale_factor**2
        kinds = {2 * plain + patch: _INPAINTING, 2 * plain: "control by depth or edges"}
    task = kinds.get(given, "") if isinstance(given, int) else ""
    if task and (task != _INPAINTING or family.key not in _INPAINTED):
        raise ModelError(
            f"the {family.denoiser} of {str(model.folder)!r} takes {given} channels: it is a model for {task}, "
            f"which needs more than the {latents} channels of latents, and no node provides them; use its base model"
        )
    if not task and given not in (None, plain) and family.key in _CHANNELS_KNOWN:
        raise ModelError(
            f"the {family.denoiser} of {str(model.folder)!r} takes {given} channels, and its latents have {plain}; "
            "the meaning of the others is not known. Use a model for text to image or for inpainting"
        )
    return task


def _measure(
    folder: Path, family: Family, classes: dict[str, type], options: dict[str, Any], sources: Mapping[str, Source]
) -> ModelDescription:
    """Read sizes from the pipeline itself, over components that have their configuration but no weights."""
    denoiser, vae = (
        weightless(classes[name], sources[name].folder or folder, sources[name].given)
        for name in (family.denoiser, "vae")
    )
    pipeline = empty_pipeline(family.pipeline(), {family.denoiser: denoiser, "vae": vae})
    scale = int(getattr(pipeline, "vae_scale_factor", 8))
    size = denoiser.config.get("sample_size") or getattr(pipeline, "default_sample_size", None)
    sides = cast(Sequence[Any], size if isinstance(size, (list, tuple)) else (size, size))
    height, width = (int(side) * scale if side else _DEFAULT_PIXELS for side in sides[-2:])
    patches = latent_patch(vae)
    patch = 2 if family.denoiser != "unet" and patches == 1 else 1
    return ModelDescription(
        folder=folder,
        family=family,
        classes=classes,
        options=options,
        latent_channels=_latent_channels(vae),
        vae_scale_factor=scale * patches,
        multiple_of=math.lcm(8, scale * patches * patch),
        width=width,
        height=height,
        vae=vae,
        sources=sources,
    )


def _describe_component(folder: Path, config: dict[str, Any], content: str) -> ModelDescription:
    library = "diffusers" if "_class_name" in config else "transformers"
    class_name = str(config.get("_class_name") or next(iter(config.get("architectures") or ()), None))
    role = next((role for start, role in _COMPONENT_ROLES.items() if class_name.startswith(start)), None)
    if role is None and library == "transformers":
        role = reading_role(class_name)
    if role is None:
        raise ModelError(
            f"{str(folder)!r} holds a {class_name}, which is neither a whole model (there is no "
            "model_index.json) nor a VAE, a ControlNet, a T2I-Adapter, an image encoder or a model that reads images "
            "(depth, segments, clicks, captions)"
        )
    component = component_class(folder, role, library, class_name)
    return describe_component(folder, role, component, Source(str(folder), content, folder, content=content))


def reading_role(class_name: str) -> str | None:
    """Return what a class of transformers reads of images: depth, segments, clicks or captions; None for others."""
    if class_name in _CAPTIONS:
        return "captions"
    return _READERS_BY_NAME.get(class_name) or next(
        (role for end, role in _READERS_BY_END.items() if class_name.endswith(end)), None
    )


def describe_component(path: Path, role: str, component: type, source: Source) -> ModelDescription:
    """Return the description of one component alone, such as a VAE or a ControlNet."""
    config = source.config()
    vae = weightless(component, source.folder or path, source.given) if role == "vae" else None
    channels = _latent_channels(vae) if vae else 0
    scale = 2 ** (len(config.get("block_out_channels", config.get("decoder_block_out_channels", [0] * 4))) - 1)
    scale *= latent_patch(vae) if vae else 1
    return ModelDescription(
        path, None, {role: component}, {}, channels, scale, 8, _DEFAULT_PIXELS, _DEFAULT_PIXELS, vae, {role: source}
    )


def _latent_channels(vae: Any) -> int:
    return int(vae.config.get("latent_channels") or vae.config.get("z_dim")) * latent_patch(vae) ** 2


def latent_patch(vae: Any) -> int:
    """Return the side of the patches of a VAE's latents that are one latent of the denoiser; 1 for most VAEs.

    The VAE of FLUX.2 has statistics of such patches, by which they are normalised before they are denoised.
    """
    return 2 if "batch_norm_eps" in vae.config else 1


def empty_pipeline(pipeline_class: type[DiffusionPipeline], given: dict[str, Any]) -> Any:
    """Return a pipeline over the components and options of `given`; further parameters of its constructor are None."""
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(pipeline_class.__init__).parameters.items():
        if name in _SILENCED:
            arguments[name] = False
        elif name in given:
            arguments[name] = given[name]
        elif name != "self" and parameter.default is parameter.empty:
            arguments[name] = None
    return pipeline_class(**arguments)
