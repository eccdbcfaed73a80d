"""Write a graph as ComfyUI's API format: the node types that mean the same there, to the number.

`comfy_import` is the inverse. `prompt` and `denoise_latents` are not written: they encode and begin as diffusers does,
which is another image there; `tool_prompt` and `tool_sampler` compute as ComfyUI does.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from os.path import isfile
from pathlib import Path, PurePath
from typing import Any

from nbgraph import diffusion
from nbgraph.config import Settings
from nbgraph.diffusion.what_is import what_is
from nbgraph.errors import ModelError
from nbgraph.invocations.base import BaseInvocation
from nbgraph.recipes.comfy_import import RESIZE
from nbgraph.recipes.comfy_models import ENCODERS, XL_DEFAULT
from nbgraph.recipes.graph_export import GraphExport
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.model_manager.model_manager_base import ModelManagerBase
from nbgraph.services.shared.graph.graph import Graph

Source = list[Any]
"""A link: the id of a node, and the number of its output."""
SHIFTED = {"flux": "ModelSamplingFlux", "stable-diffusion-3": "ModelSamplingSD3"}
"""The node that sets the shift of a family; the others take AuraFlow's."""
MANY_CHANNELS = ("flux", "stable-diffusion-3", "qwenimage", "z-image", "auraflow")
"""Families whose empty latents ComfyUI makes with 16 channels."""
PLAIN_SAMPLING = {"start_step": 0, "end_step": None, "add_noise": True, "leftover_noise": False}
MODEL_ENDINGS = (".safetensors", ".sft", ".ckpt", ".gguf", ".pt", ".pth", ".bin")


def comfy_json(graph: Graph, model_folders: Iterable[str | PathLike[str]] = ()) -> str:
    """Return a graph as ComfyUI's API format, JSON.

    Models, LoRAs and images keep the names of their files, which ComfyUI looks for in its own folders.

    Raises
    ------
    GraphError
        The graph cannot run, or nodes or fields of it have no counterpart in ComfyUI; each is named.
    """
    settings = Settings()
    folders = [*settings.model_folders, *map(Path, model_folders)]
    services = InvocationServices.memory(settings.model_copy(update={"model_folders": folders}))
    return json.dumps(_ComfyExport(graph, services.model_manager).nodes_written(), indent=1, ensure_ascii=False)


@dataclass(frozen=True)
class _Model:
    """A denoiser: where it comes from, and its family as far as that is known."""

    source: Source
    name: str
    family: str


@dataclass(frozen=True)
class _Batch:
    """Numbers of the images of a batch, as `range` and `iterate` give them."""

    size: int


@dataclass(frozen=True)
class _Latents:
    """Latents, of how many images, and the mask that ComfyUI keeps with them."""

    source: Source
    batch: int = 1
    mask: Source | None = None


class _ComfyExport(GraphExport):
    """One graph on its way to ComfyUI's nodes."""

    target = "ComfyUI"

    def __init__(self, graph: Graph, models: ModelManagerBase) -> None:
        super().__init__(graph)
        self.models = models
        self.nodes: dict[str, dict[str, Any]] = {}

    def nodes_written(self) -> dict[str, dict[str, Any]]:
        """Return the nodes; `GraphError` names everything that has no counterpart."""
        self.write_nodes()
        self.problems.raise_any()
        return self.nodes

    def _node(self, class_type: str, **inputs: Any) -> str:
        """Add a node under the next number, with the id of ours as its title; None leaves an input out."""
        number = str(len(self.nodes) + 1)
        given = {name: value for name, value in inputs.items() if value is not None}
        self.nodes[number] = {"class_type": class_type, "inputs": given, "_meta": {"title": self.node_id}}
        return number

    # models

    def _write_model_loader(self, node: BaseInvocation) -> None:
        name = str(self.value(node, "model"))
        made = self._node("CheckpointLoaderSimple", ckpt_name=_file_name(name))
        model = _Model([made, 0], name, self._family(name))
        self.give(unet=model, clip=([made, 1], model), vae=[made, 2])

    def _family(self, name: str) -> str:
        """Return the family of a model, from headers and configuration files; "" where it is not known."""
        try:
            path = self.models.path_of(name)
            if not isfile(path):
                return diffusion.describe_model(path).need_family().key
            facts = what_is(path)
            return facts.family if facts.kind in ("checkpoint", "denoiser") else ""
        except ModelError:
            return ""

    def _write_transformer_loader(self, node: BaseInvocation) -> None:
        name, precision = str(self.value(node, "model")), self.value(node, "precision")
        if precision not in (None, "fp8"):
            self.problem("precision", f"{precision!r} is not in ComfyUI; use 'fp8', or leave it out")
        stored = "fp8_e4m3fn" if precision else "default"
        made = self._node("UNETLoader", unet_name=_file_name(name), weight_dtype=stored)
        self.give(unet=_Model([made, 0], name, self._family(name)))

    def _write_text_encoder_loader(self, node: BaseInvocation) -> None:
        kind, files = str(self.value(node, "kind")), list(self.value(node, "files"))
        names = [_file_name(file) for file in files]
        told, family = ENCODERS[kind]
        inputs = {f"clip_name{number}": name for number, name in enumerate(names, start=1)}
        if len(names) == 1:
            made = self._node("CLIPLoader", clip_name=names[0], type=told)
        elif len(names) == 2:
            made = self._node("DualCLIPLoader", **inputs, type=told)
        else:
            made = self._node("TripleCLIPLoader", **inputs)
        self.give(clip=([made, 0], _Model([made, 0], kind, family)))

    def _write_vae_loader(self, node: BaseInvocation) -> None:
        for name in ("like", "unet"):  # a VAE in ComfyUI is scaled as the model it is used with
            self.value(node, name)
        made = self._node("VAELoader", vae_name=_file_name(str(self.value(node, "vae_model"))))
        self.give(vae=[made, 0])

    def _write_lora_loader(self, node: BaseInvocation) -> None:
        model: _Model = self.value(node, "unet")
        clip, base = self.value(node, "clip")
        weight, text = self.value(node, "weight"), self.value(node, "clip_weight")
        made = self._node(
            "LoraLoader",
            lora_name=_file_name(str(self.value(node, "lora"))),
            strength_model=weight,
            strength_clip=weight if text is None else text,
            model=model.source,
            clip=clip,
        )
        self.give(unet=_Model([made, 0], model.name, model.family), clip=([made, 1], base))

    def _write_clip_skip(self, node: BaseInvocation) -> None:
        clip, base = self.value(node, "clip")
        skipped: int = self.value(node, "skipped_layers")
        if not base.family:
            self.problem("clip", f"the model {base.name!r} is not here, and layers are counted by its kind")
        last = XL_DEFAULT if base.family == "stable-diffusion-xl" else 1
        made = self._node("CLIPSetLastLayer", stop_at_clip_layer=-(skipped + last), clip=clip)
        self.give(clip=([made, 0], base))

    # prompts

    def _write_tool_prompt(self, node: BaseInvocation) -> None:
        if self.value(node, "syntax") != "comfy":
            self.problem("syntax", "is read as A1111 does; write the weights as ComfyUI has them, and set 'comfy'")
        clip, _ = self.value(node, "clip")
        self.give(conditioning=[self._node("CLIPTextEncode", text=self.value(node, "text"), clip=clip), 0])

    def _write_zero_conditioning(self, node: BaseInvocation) -> None:
        made = self._node("ConditioningZeroOut", conditioning=self.value(node, "conditioning"))
        self.give(conditioning=[made, 0])

    def _write_controlnet(self, node: BaseInvocation) -> None:
        names = ("control_weight", "begin_step_percent", "end_step_percent")
        weight, begin, end = (float(self.value(node, name)) for name in names)
        loader = self._node("ControlNetLoader", control_net_name=_file_name(str(self.value(node, "control_model"))))
        inputs = {"image": self.value(node, "image"), "control_net": [loader, 0], "strength": weight}
        self.give(control={**inputs, "start_percent": begin, "end_percent": end})

    # images and latents

    def _write_load_image(self, node: BaseInvocation) -> None:
        made = self._node("LoadImage", image=PurePath(self.value(node, "path")).name)
        self.give(image=[made, 0])

    def _write_img_conv(self, node: BaseInvocation) -> None:
        if self.value(node, "mode") != "RGB":
            self.problem("mode", "images of ComfyUI are RGB, without transparency; set it to 'RGB'")
        self.give(image=self.value(node, "image"))

    def _write_tomask(self, node: BaseInvocation) -> None:
        source: Source = self.value(node, "image")
        if not self.value(node, "invert") or self.nodes[source[0]]["class_type"] != "LoadImage":
            self.problem(
                "image", "masks of ComfyUI are the transparent part of a loaded image; invert one of LoadImage"
            )
        self.give(image=[source[0], 1])

    def _write_create_denoise_mask(self, node: BaseInvocation) -> None:
        source: Source = self.value(node, "mask")
        if self.nodes[source[0]]["class_type"] != "LoadImage" or source[1] != 1:
            self.problem(
                "mask", "masks of ComfyUI are the transparent part of a loaded image; put MaskFromAlpha before"
            )
        if not self.value(node, "soft"):
            self.problem("soft", "ComfyUI's masks are soft; switch it on")
        self.give(denoise_mask=source)

    def _write_i2l(self, node: BaseInvocation) -> None:
        made = self._node("VAEEncode", pixels=self.value(node, "image"), vae=self.value(node, "vae"))
        self.give(latents=_Latents([made, 0]))

    def _write_tool_inpaint(self, node: BaseInvocation) -> None:
        image, mask, vae = (self.value(node, name) for name in ("image", "mask", "vae"))
        if self.nodes[mask[0]]["class_type"] != "LoadImage" or mask[1] != 1:
            self.problem(
                "mask", "masks of ComfyUI are the transparent part of a loaded image; put MaskFromAlpha before"
            )
        grown = self.value(node, "grow_mask_by")
        made = self._node("VAEEncodeForInpaint", pixels=image, vae=vae, mask=mask, grow_mask_by=grown)
        self.give(latents=_Latents([made, 0], mask=[made, 0]), denoise_mask=[made, 0])

    def _write_l2i(self, node: BaseInvocation) -> None:
        latents: _Latents = self.value(node, "latents")
        made = self._node("VAEDecode", samples=latents.source, vae=self.value(node, "vae"))
        self.give(image=[made, 0])

    def _write_save_image(self, node: BaseInvocation) -> None:
        image = self.value(node, "image")
        self._node("SaveImage", filename_prefix=self.node_id, images=image)
        self.give(image=image)

    def _write_show_image(self, node: BaseInvocation) -> None:
        image = self.value(node, "image")
        self._node("PreviewImage", images=image)
        self.give(image=image)

    def _write_img_resize(self, node: BaseInvocation) -> None:
        if self.value(node, "resample_mode") != "lanczos":
            self.problem("resample_mode", "is Pillow's, and only 'lanczos' is the same in ComfyUI")
        size = {name: self.value(node, name) for name in ("width", "height")}
        image = self.value(node, "image")
        made = self._node("ImageScale", image=image, upscale_method="lanczos", **size, crop="disabled")
        self.give(image=[made, 0])

    def _write_lresize(self, node: BaseInvocation) -> None:
        size = {name: self.value(node, name) for name in ("width", "height")}
        self._resized(node, "LatentUpscale", **size, crop="disabled")

    def _write_lscale(self, node: BaseInvocation) -> None:
        self._resized(node, "LatentUpscaleBy", scale_by=self.value(node, "scale_factor"))

    def _resized(self, node: BaseInvocation, class_type: str, **size: Any) -> None:
        mode, latents = self.value(node, "mode"), self.value(node, "latents")
        self.value(node, "vae")  # ComfyUI knows the scale of its latents
        if mode not in RESIZE:
            self.problem("mode", f"{mode!r} is not in ComfyUI (possible: {', '.join(RESIZE)})")
        made = self._node(class_type, samples=latents.source, upscale_method=mode, **size)
        self.give(latents=_Latents([made, 0], latents.batch, latents.mask))

    def _write_range(self, node: BaseInvocation) -> None:
        start, stop, step = (self.value(node, name) for name in ("start", "stop", "step"))
        if (start, step) != (0, 1) or stop < 1:
            self.problem("start", "the images of a batch are counted from 0 in ones")
        self.give(collection=_Batch(stop))

    def _write_iterate(self, node: BaseInvocation) -> None:
        numbers = self.value(node, "collection")
        if not isinstance(numbers, _Batch):
            self.problem("collection", "ComfyUI runs a graph once; only the numbers of a batch can be gone through")
        self.give(item=numbers)

    # sampling

    def _write_tool_sampler(self, node: BaseInvocation) -> None:
        model: _Model = self.value(node, "unet")
        negative, batch = self.value(node, "negative"), self.value(node, "batch_index")
        if self.value(node, "tool") != "comfy":
            self.problem("tool", "begins as A1111 does; set it to 'comfy'")
        if self.value(node, "seed") is None:
            self.problem("seed", "is drawn at every run; give it a number")
        size: int = self.value(node, "batch_size")
        if batch != _Batch(size) and (batch != 0 or size > 1):
            self.problem("batch_index", "ComfyUI draws whole batches; link Iterate(collection=Range(stop=batch_size))")
        positive, negative = self._controlled(node, self.value(node, "positive"), negative)
        guidance = self.value(node, "guidance")
        if guidance is not None:
            positive = [self._node("FluxGuidance", guidance=guidance, conditioning=positive), 0]
        source = self._shifted(node, model)
        latents = self._begin(node, model.family)
        made = self._sampler(node, source, positive, negative, latents)
        self.give(latents=_Latents([made, 0], self.value(node, "batch_size"), self.value(node, "denoise_mask")))

    def _controlled(self, node: BaseInvocation, positive: Source, negative: Source | None) -> tuple[Source, Any]:
        for control in self.values_of(node, "control"):
            if negative is None:
                plain = {name: value for name, value in control.items() if not name.endswith("_percent")}
                if (control["start_percent"], control["end_percent"]) != (0.0, 1.0):
                    self.problem("control", "without a negative prompt ComfyUI's ControlNets steer all steps")
                positive = [self._node("ControlNetApply", conditioning=positive, **plain), 0]
            else:
                made = self._node("ControlNetApplyAdvanced", positive=positive, negative=negative, **control)
                positive, negative = [made, 0], [made, 1]
        return positive, negative

    def _shifted(self, node: BaseInvocation, model: _Model) -> Source:
        shift = self.value(node, "shift")
        if shift is None:
            return model.source
        if not model.family:
            self.problem("shift", f"the model {model.name!r} is not here, and its kind decides how it is shifted")
        class_type = SHIFTED.get(model.family, "ModelSamplingAuraFlow")
        if class_type == "ModelSamplingFlux":
            # of equal shifts at both ends, the size of the image does not count
            shift = math.log(shift)
            inputs = {"max_shift": shift, "base_shift": shift, "width": 1024, "height": 1024}
        else:
            inputs = {"shift": shift}
        return [self._node(class_type, **inputs, model=model.source), 0]

    def _begin(self, node: BaseInvocation, family: str) -> Source:
        latents, mask = self.value(node, "latents"), self.value(node, "denoise_mask")
        width, height, size = (self.value(node, name) for name in ("width", "height", "batch_size"))
        if latents is not None:
            if size != latents.batch:
                self.problem("batch_size", f"the latents are of {latents.batch} images, and noise is drawn for as many")
            if latents.mask is not None and mask != latents.mask:
                self.problem("denoise_mask", "latents of ComfyUI keep the mask they were given; link that one again")
            if mask is None or mask == latents.mask:
                return latents.source
            return [self._node("SetLatentNoiseMask", samples=latents.source, mask=mask), 0]
        if width is None or height is None:
            self.problem("width" if width is None else "height", "is left out; ComfyUI needs a number")
        class_type = "EmptySD3LatentImage" if family in MANY_CHANNELS else "EmptyLatentImage"
        return [self._node(class_type, width=width, height=height, batch_size=size), 0]

    def _sampler(self, node: BaseInvocation, model: Source, positive: Source, negative: Any, latents: Source) -> str:
        seed, steps, cfg = (self.value(node, name) for name in ("seed", "steps", "cfg_scale"))
        sampler, schedule, denoise = (self.value(node, name) for name in ("sampler", "schedule", "denoise"))
        parts = {name: self.value(node, name) for name in PLAIN_SAMPLING}
        is_part = parts != PLAIN_SAMPLING
        if negative is None:
            return self._custom_sampler(node, model, positive, latents)
        shared = {"steps": steps, "cfg": cfg, "sampler_name": sampler, "scheduler": schedule}
        sides = {"model": model, "positive": positive, "negative": negative, "latent_image": latents}
        if not is_part:
            return self._node("KSampler", seed=seed, **shared, denoise=denoise, **sides)
        if denoise != 1:
            self.problem("denoise", "ComfyUI's sampler with a start and an end has none; cut the steps instead")
        return self._node(
            "KSamplerAdvanced",
            add_noise=_switch(parts["add_noise"]),
            noise_seed=seed,
            **shared,
            start_at_step=parts["start_step"],
            end_at_step=10_000 if parts["end_step"] is None else parts["end_step"],
            return_with_leftover_noise=_switch(parts["leftover_noise"]),
            **sides,
        )

    def _custom_sampler(self, node: BaseInvocation, model: Source, positive: Source, latents: Source) -> str:
        """A sampler without a negative prompt: five nodes in ComfyUI."""
        if self.value(node, "cfg_scale") != 1:
            self.problem("negative", "is left out; link one, or set cfg_scale to 1")
        for name, plain in PLAIN_SAMPLING.items():
            if self.value(node, name) != plain:
                self.problem(name, "ComfyUI's sampler without a negative prompt runs all steps; link a negative prompt")
        steps = {"scheduler": "schedule", "steps": "steps", "denoise": "denoise"}
        levels = self._node(
            "BasicScheduler", **{theirs: self.value(node, ours) for theirs, ours in steps.items()}, model=model
        )
        return self._node(
            "SamplerCustomAdvanced",
            noise=[self._node("RandomNoise", noise_seed=self.value(node, "seed")), 0],
            guider=[self._node("BasicGuider", model=model, conditioning=positive), 0],
            sampler=[self._node("KSamplerSelect", sampler_name=self.value(node, "sampler")), 0],
            sigmas=[levels, 0],
            latent_image=latents,
        )


def _switch(is_on: bool) -> str:
    return "enable" if is_on else "disable"


def _file_name(name: str) -> str:
    """The name of a model's file; ComfyUI lists files only, and a name without an ending is given the usual one."""
    file = PurePath(name).name
    return file if file.casefold().endswith(MODEL_ENDINGS) else f"{file}.safetensors"
