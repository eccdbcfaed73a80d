"""Models assembled from parts: a single file with the configuration of its kind, and components of other models.

A checkpoint holds most of a model, a file of a transformer or a text encoder one component. Missing components come
from the model named as `rest`, or from files of their own. Configurations are those shipped for the kind of model;
where the weights have other sizes, those of `rest`.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from diffusers import ControlNetModel

from nbgraph.diffusion.classes import component_class, component_rows
from nbgraph.diffusion.description import ModelDescription, describe_component, describe_model, describe_pipeline
from nbgraph.diffusion.families import Family, family_of_class
from nbgraph.diffusion.fingerprints import resolve_folder
from nbgraph.diffusion.known_models import KnownModel, digest_of, known_model, known_model_for
from nbgraph.diffusion.model_files import StoredTensor, read_header
from nbgraph.diffusion.refs import ModelPart, ModelRef
from nbgraph.diffusion.single_files import check_file
from nbgraph.diffusion.sources import Source
from nbgraph.diffusion.upscaler_files import describe_if_upscaler
from nbgraph.diffusion.weights_fit import has_weights
from nbgraph.diffusion.what_is import FileFacts, need_weights
from nbgraph.errors import ModelError

_CONTROLNET_UNION = ("control_add_embedding.linear_1.weight", "task_embedding")
_CONTROLNET_HINTS = re.compile(
    r"controlnet_cond_embedding\.(conv_in|blocks\.\d*[13579])\.weight|input_hint_block\.(0|4|8|12)\.weight"
)
_WHOLE = ("checkpoint", "denoiser")


@lru_cache(maxsize=64)
def describe_assembled(path: str, fingerprint: str, parts: tuple[ModelPart, ...]) -> ModelDescription:
    """Return the description of a single file, or of a model some of whose parts are replaced.

    Raises
    ------
    ModelError
        The file is no model that can generate or decode, or its configuration is unknown and `rest` names none.
    """
    place = resolve_folder(path)
    rest = next((part for part in parts if part.use == "rest"), None)
    base = describe_model(ModelRef(path=rest.path, fingerprint=rest.fingerprint)) if rest else None
    named = next((known_model(part.path) for part in parts if part.use == "configuration"), None)
    if place.is_dir():
        described = describe_model(ModelRef(path=path, fingerprint=fingerprint))
    else:
        if (upscaler := describe_if_upscaler(place, fingerprint)) is not None:
            return upscaler
        facts = need_weights(place)
        if facts.kind == "vae":
            return _describe_vae(facts, fingerprint, base)
        if facts.kind == "controlnet":
            return _describe_controlnet(facts, fingerprint, base)
        if facts.kind == "text encoder" and named is not None:
            described = describe_known(place, named)
            parts = (ModelPart(use=_role_of(facts, described), path=path, fingerprint=fingerprint), *parts)
        elif facts.kind in _WHOLE:
            described = _describe_file(facts, fingerprint, base)
        else:
            raise ModelError(f"{path!r} is {_named(facts)}, and no model that draws; {_use_of(facts)}")
    for part in parts:
        if part.use not in ("rest", "configuration"):
            described = _with_file(described, part)
    return _without_spare_t5(described) if named is not None else described


def _describe_file(facts: FileFacts, fingerprint: str, base: ModelDescription | None) -> ModelDescription:
    """Describe a checkpoint or a denoiser alone, with the components it lacks from `base`."""
    known = known_model_for(facts)
    if base is not None and base.family is not None and facts.family and base.family.key != facts.family:
        raise ModelError(
            f"{facts.path!r} is {_named(facts)}, and its parts are to come from {str(base.folder)!r}, a model of the "
            f"family {base.family.key!r}; give parts of a model of the same family"
        )
    if known is None and base is None:
        raise ModelError(
            f"{facts.path!r} is {_named(facts)}, whose configuration is not known here; give parts=FOLDER, a model of "
            "the same kind in the diffusers layout"
        )
    chosen = base if base is not None and (known is None or not _fits(facts, fingerprint, known)) else None
    if chosen is None and known is not None:
        chosen = describe_known(Path(facts.path), known)
    assert chosen is not None
    return _combine(facts, fingerprint, chosen, base)


def _combine(
    facts: FileFacts, fingerprint: str, chosen: ModelDescription, base: ModelDescription | None
) -> ModelDescription:
    """Combine the components of `chosen`: each from the file if it holds that one, else from `base`."""
    path, family = Path(facts.path), chosen.need_family()
    classes, sources = dict(chosen.classes), dict(chosen.sources)
    if base is not None:
        classes |= {name: kind for name, kind in base.classes.items() if name not in classes}
    for name, kind in list(classes.items()):
        part = _part_of(name, kind, family)
        if part and (part in facts.parts or (part == "denoiser" and facts.kind in _WHOLE)):
            sources[name] = _of_file(path, fingerprint, part, chosen.config(name))
        elif base is not None and name in base.sources and name != "scheduler":
            classes[name], sources[name] = base.classes[name], base.sources[name]
    found = describe_pipeline(path, family, classes, chosen.options, sources)
    return _without_spare_t5(found) if "clip_g" in facts.parts else found


def describe_known(path: Path, known: KnownModel) -> ModelDescription:
    """Describe a kind of model by its configuration alone; components with weights cannot be loaded."""
    family = family_of_class(str(known.index["_class_name"]))
    classes = {name: component_class(path, name, *row) for name, row in component_rows(known.index).items()}
    sources = {name: _of_configuration(path, known.configs.get(name, {})) for name in classes}
    return describe_pipeline(path, family, classes, known.index, sources)


def _describe_vae(facts: FileFacts, fingerprint: str, base: ModelDescription | None) -> ModelDescription:
    """Describe a VAE alone. The scale of its latents is not in the file, but in the model it is used with."""
    if base is None or "vae" not in base.classes:
        raise ModelError(
            f"{facts.path!r} is a VAE ({facts.variant}), and its file does not say how its latents are scaled; give "
            "the model it is used with, in a VaeLoader as like=model.vae, or its denoiser as unet="
        )
    path = Path(facts.path)
    source = _of_file(path, fingerprint, "vae", base.config("vae"))
    return describe_component(path, "vae", base.classes["vae"], source)


def _describe_controlnet(facts: FileFacts, fingerprint: str, base: ModelDescription | None) -> ModelDescription:
    """Describe a ControlNet alone: its sizes are those of its UNet, and what the names of its tensors say."""
    path = Path(facts.path)
    name = "sdxl" if facts.family == "stable-diffusion-xl" else f"sd{facts.variant or 1}"
    unet = dict(known_model(name).configs["unet"]) if base is None else base.config("unet")
    source = _of_file(path, fingerprint, "controlnet", controlnet_config(unet, read_header(path)))
    return describe_component(path, "controlnet", ControlNetModel, source)


def _without_spare_t5(described: ModelDescription) -> ModelDescription:
    """Remove the T5 of SD3 if there is no file of it: the model works without."""
    if "text_encoder_3" not in described.sources or not described.sources["text_encoder_3"].is_empty:
        return described
    spare = ("text_encoder_3", "tokenizer_3")
    return replace(
        described,
        classes={name: kind for name, kind in described.classes.items() if name not in spare},
        sources={name: source for name, source in described.sources.items() if name not in spare},
    )


def _with_file(described: ModelDescription, part: ModelPart) -> ModelDescription:
    """Return the same model with one component from a file or a folder of its own."""
    place, name = resolve_folder(part.path), part.use
    if name.startswith("text encoder"):
        name = _role_of(need_weights(place), described)
    if place.is_dir():
        other = describe_model(ModelRef(path=part.path, fingerprint=part.fingerprint))
        if name not in other.sources:
            raise ModelError(f"{part.path!r} has no {name}; it has {', '.join(other.sources)}")
        source = other.sources[name]
    else:
        if name not in described.classes:
            raise ModelError(f"a model of this kind has no {name}; it has {', '.join(described.classes)}")
        kind = _part_of(name, described.classes[name], described.need_family())
        source = _of_file(place, part.fingerprint, kind, described.config(name))
    sources = {**described.sources, name: source}
    return replace(described, sources=sources)


def _fits(facts: FileFacts, fingerprint: str, known: KnownModel) -> bool:
    """Return whether the denoiser in a file has the sizes of the shipped configuration."""
    described = describe_known(Path(facts.path), known)
    name = described.need_family().denoiser
    try:
        check_file(described.classes[name], _of_file(Path(facts.path), fingerprint, "denoiser", described.config(name)))
    except ModelError:
        return False
    return True


def _part_of(name: str, component: type, family: Family) -> str:
    """Return the name that files use for the weights of a component; empty for tokenizers and schedulers."""
    if not has_weights(component):
        return ""
    if name == family.denoiser:
        return "denoiser"
    if name == "vae":
        return "vae"
    if component.__name__ == "T5EncoderModel":
        return "t5"
    if component.__name__.startswith("CLIPText"):
        if family.key == "stable-diffusion":
            return "clip"
        return "clip_g" if name == "text_encoder_2" else "clip_l"
    return ""


def _role_of(facts: FileFacts, described: ModelDescription) -> str:
    """Return which text encoder of a kind of model a file is."""
    wanted = {"CLIP-L": ("clip", "clip_l"), "CLIP-H": ("clip",), "CLIP-G": ("clip_g",)}.get(facts.variant, ("t5",))
    family = described.need_family()
    for name, component in described.classes.items():
        if name.startswith("text_encoder") and _part_of(name, component, family) in wanted:
            return name
    raise ModelError(f"{facts.path!r} is {_named(facts)}, which models of the family {family.key!r} do not have")


def _of_file(path: Path, fingerprint: str, part: str, config: Mapping[str, Any]) -> Source:
    plain = {name: value for name, value in config.items() if not name.startswith("_")}
    content = f"{fingerprint} {part} {digest_of(plain)}"
    return Source(str(path), fingerprint, file=path, part=part, given=plain, content=content)


def _of_configuration(path: Path, config: Mapping[str, Any]) -> Source:
    return Source(str(path), "", given=config, content=digest_of(dict(config)))


def _named(facts: FileFacts) -> str:
    family = " ".join(filter(None, (facts.family, facts.variant)))
    return f"a {facts.kind}{f' ({family})' if family else ''}"


def _use_of(facts: FileFacts) -> str:
    uses = {
        "lora": "give it to a LoraLoader",
        "embedding": "give it to a TextualInversion",
        "text encoder": "give it to a TextEncoderLoader",
        "controlnet": "give it to a ControlNet",
        "ip-adapter": "give it to an IpAdapter",
        "t2i-adapter": "give it to a T2iAdapter",
        "upscaler": "give it to an Upscale",
    }
    return uses.get(facts.kind, "give a checkpoint, or the folder of a model")


def controlnet_config(unet: Mapping[str, Any], tensors: Mapping[str, StoredTensor]) -> dict[str, Any]:
    """Return the configuration of a ControlNet with these tensors, for a UNet with the configuration `unet`.

    Raises
    ------
    ModelError
        A ControlNet of several tasks, which is another class.
    """
    if any(name in tensors for name in _CONTROLNET_UNION):
        raise ModelError(
            "it is a ControlNet of several tasks (union), which is not loaded from a file; give its folder"
        )
    taken = set(inspect.signature(ControlNetModel.__init__).parameters)
    config = {name: value for name, value in unet.items() if name in taken and name != "global_pool_conditions"}
    names = {name.removeprefix("control_model."): tensor for name, tensor in tensors.items()}
    hints = {_hint_place(name): tensor.shape[0] for name, tensor in names.items() if _CONTROLNET_HINTS.fullmatch(name)}
    if hints:
        config["conditioning_embedding_out_channels"] = [hints[place] for place in sorted(hints)]
    layers = _transformer_layers(names)
    blocks = config.get("down_block_types")
    if layers is not None and blocks is not None and len(layers) == len(blocks):
        config["down_block_types"] = ["CrossAttnDownBlock2D" if count else "DownBlock2D" for count in layers]
        config["transformer_layers_per_block"] = layers
    return config


def _hint_place(name: str) -> int:
    """Return the position in the row of convolutions, counted as in the original layout."""
    if name.startswith("input_hint_block."):
        return int(name.split(".")[1]) // 4
    inner = name.removeprefix("controlnet_cond_embedding.")
    return 0 if inner.startswith("conv_in") else (int(inner.split(".")[1]) + 1) // 2


def _transformer_layers(names: Mapping[str, StoredTensor]) -> list[int] | None:
    """Return the transformer layers of each down block of a file in the layout of diffusers.

    None for another layout.
    """
    resnets = {int(found[1]) for name in names if (found := re.match(r"down_blocks\.(\d+)\.resnets\.", name))}
    if not resnets:
        return None
    counted = [0] * (max(resnets) + 1)
    pattern = re.compile(r"down_blocks\.(\d+)\.attentions\.0\.transformer_blocks\.(\d+)\.")
    for name in names:
        if found := pattern.match(name):
            counted[int(found[1])] = max(counted[int(found[1])], int(found[2]) + 1)
    return counted
