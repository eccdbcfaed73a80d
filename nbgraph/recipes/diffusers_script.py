"""Write a graph as a script of diffusers that gives the same image bit for bit, without nbgraph.

Nodes are read in order. Models, prompts and noise become values (`script_values.py`); a node that computes becomes
lines. Whatever the script could not repeat exactly is a problem, with its node and field: nothing is left out silently.
"""

import inspect
import re
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from diffusers.pipelines.auto_pipeline import AUTO_IMAGE2IMAGE_PIPELINES_MAPPING, AUTO_TEXT2IMAGE_PIPELINES_MAPPING

from nbgraph.config import Settings
from nbgraph.diffusion.defaults import default_cfg, defaults_of
from nbgraph.diffusion.device import default_dtype, device_kind
from nbgraph.diffusion.families import Family
from nbgraph.diffusion.latent_controls import NETS
from nbgraph.diffusion.model_files import read_header
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.denoise_steps import step_at
from nbgraph.recipes.graph_export import GraphExport
from nbgraph.recipes.script_text import ScriptText, call_code, interpolate_code, scheduler_code
from nbgraph.recipes.script_values import Drawn, LoraUse, ModelPart, Steering, Text, Variable, control_arguments
from nbgraph.recipes.versions import packages, version
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.model_manager.model_manager_base import ModelManagerBase
from nbgraph.services.shared.graph.graph import Graph

FAMILIES = ("stable-diffusion", "stable-diffusion-xl", "stable-diffusion-3", "flux")
"""Families whose pipelines were compared with the nodes, from noise and from an image."""
SIZES = (
    ("original_size", "original_height", "original_width"),
    ("crops_coords_top_left", "crop_top", "crop_left"),
    ("target_size", "target_height", "target_width"),
)
"""What pipelines of SDXL are told of sizes, as (height, width), and the inputs of `sdxl_prompt` that say it."""
MERGED_LORA = re.compile(r"hada_|lokr_|dora_scale|lora_magnitude_vector|\.diff(_b)?$")
"""Tensors of a LoRA that diffusers refuses, or drops with a warning."""


def diffusers_script(graph: Graph, models: ModelManagerBase, device: str | None = None) -> str:
    """Return a script of diffusers that draws what a graph draws, and saves each image under its node's id.

    Parameters
    ----------
    models
        Where the names of models are looked up; the script has their paths.
    device
        The torch device of the script; None is the one that a run here would take.

    Raises
    ------
    GraphError
        The graph cannot run, or nodes or fields of it have no exact counterpart; each is named.
    """
    graph.validate()
    return _DiffusersExport(graph, models, device_kind(device)).script()


def local_script(graph: Graph, model_folders: Iterable[str | PathLike[str]] = (), device: str | None = None) -> str:
    """Return the script of a graph; models are looked for where the settings say, and in `model_folders`."""
    settings = Settings()
    folders = [*settings.model_folders, *map(Path, model_folders)]
    services = InvocationServices.memory(settings.model_copy(update={"model_folders": folders}))
    return diffusers_script(graph, services.model_manager, device or settings.device)


class _DiffusersExport(GraphExport):
    """One graph on its way to a script."""

    target = "diffusers"

    def __init__(self, graph: Graph, models: ModelManagerBase, device: str) -> None:
        super().__init__(graph)
        self.models, self.device, self.denoiser = models, device, "unet"
        versions = ", ".join(f"{name} {number}" for name, number in packages().items())
        self.text = ScriptText(f"nbgraph {version()}", versions)
        self.pipelines: dict[tuple[Any, ...], str] = {}

    def script(self) -> str:
        """Return the script; `GraphError` names everything that it could not repeat."""
        self.write_nodes()
        self._save_images()
        if not self.text.saved and not self.problems.found:
            self.problems.add(self.kind, "has no node that gives an image; end it with LatentsToImage")
        self.problems.raise_any()
        return self.text.whole(self.device, default_dtype(self.device, self.denoiser))

    # values

    def _write_model_loader(self, node: BaseInvocation) -> None:
        field = self.models.resolve(self.value(node, "model"))
        description = self.models.describe(field)
        family = description.need_family().key
        if not description.folder.is_dir():
            self.problem("model", "is a single file, whose configuration is nbgraph's own; give a diffusers folder")
        elif description.inpaints:
            self.problem("model", "is made for inpainting, which diffusers' pipelines do otherwise")
        elif family not in FAMILIES:
            self.problem("model", f"is of the family {family!r}; exported are {', '.join(FAMILIES)}")
        self.denoiser = description.need_family().denoiser
        part = ModelPart(description)
        self.give(unet=part, clip=part, vae=part)

    def _write_vae_loader(self, node: BaseInvocation) -> None:
        description = self.models.describe(self.models.resolve(self.value(node, "vae_model")))
        if not description.folder.is_dir():
            self.problem("vae_model", "is a single file; give the folder of a VAE")
        self.give(vae=ModelPart(description))

    def _write_lora_loader(self, node: BaseInvocation) -> None:
        path, weight = Path(self.models.file_of(str(self.value(node, "lora")))), self.value(node, "weight")
        if path.is_dir():
            self.problem("lora", "is a folder; give the .safetensors file in it")
            return
        clip_weight = self.value(node, "clip_weight")
        keys = list(read_header(path))
        both_names = any("lora_A" in key for key in keys) and any(key.endswith(".alpha") for key in keys)
        if both_names or any(MERGED_LORA.search(key) for key in keys):
            self.problem("lora", "is of a kind that diffusers does not load as it is (LoHa, LoKr, DoRA, mixed names)")
        text = LoraUse(path.resolve(), weight if clip_weight is None else clip_weight)
        unet, clip = self.value(node, "unet"), self.value(node, "clip")
        self.give(unet=unet.with_lora(LoraUse(path.resolve(), weight)), clip=clip.with_lora(text))

    def _write_prompt(self, node: BaseInvocation) -> None:
        self.give(conditioning=Text(self.value(node, "text"), self.value(node, "clip")))

    def _write_sdxl_prompt(self, node: BaseInvocation) -> None:
        pairs = {name: (self.value(node, first), self.value(node, second)) for name, first, second in SIZES}
        sizes = tuple((name, None if None in pair else pair) for name, pair in pairs.items())
        self.give(
            conditioning=Text(self.value(node, "text"), self.value(node, "clip"), self.value(node, "style"), sizes)
        )

    def _write_noise(self, node: BaseInvocation) -> None:
        model: ModelPart = self.value(node, "unet")
        seed = self.value(node, "seed")
        if seed is None:
            self.problem("seed", "is drawn at every run; give it a number")
        width = self.value(node, "width") or model.description.width
        height = self.value(node, "height") or model.description.height
        self.give(noise=Drawn(seed or 0, width, height), width=width, height=height, seed=seed)

    def _write_controlnet(self, node: BaseInvocation) -> None:
        description = self.models.describe(self.models.resolve(self.value(node, "control_model")))
        if not description.folder.is_dir():
            self.problem("control_model", "is a single file; give the folder of a ControlNet")
        image: Variable = self.value(node, "image")
        shares = [self.value(node, name) for name in ("control_weight", "begin_step_percent", "end_step_percent")]
        self.give(control=Steering(str(description.folder), image.name, *map(float, shares)))

    # images

    def _write_load_image(self, node: BaseInvocation) -> None:
        self.text.use("PIL", "Image", "ImageOps")
        name = self.text.assign(
            self.node_id, f"ImageOps.exif_transpose(Image.open({str(Path(self.value(node, 'path')).resolve())!r}))"
        )
        self.give(image=Variable(name))

    def _write_save_image(self, node: BaseInvocation) -> None:
        self.give(image=self.value(node, "image"))

    _write_show_image = _write_save_image

    def _write_l2i(self, node: BaseInvocation) -> None:
        latents: Variable = self.value(node, "latents")
        vae = self._vae(self.value(node, "vae"), "vae")
        self.text.use("diffusers.image_processor", "VaeImageProcessor")
        scaled = f"{latents.name}.to({vae}.dtype) / {vae}.config.scaling_factor"
        if self._shifted:
            scaled += f" + {vae}.config.shift_factor"
        self.text.add(f"decoded = {vae}.decode({scaled}, return_dict=False)[0]")
        image = self.text.assign(
            self.node_id, 'VaeImageProcessor().postprocess(decoded.float(), output_type="pil")[0]', "_image"
        )
        self.give(image=Variable(image, latents.width, latents.height), width=latents.width, height=latents.height)

    def _write_i2l(self, node: BaseInvocation) -> None:
        image: Variable = self.value(node, "image")
        vae = self._vae(self.value(node, "vae"), "vae")
        self.text.use("diffusers.image_processor", "VaeImageProcessor")
        self.text.need_on_white()
        self.text.add(f"pixels = VaeImageProcessor(vae_scale_factor=1).preprocess([on_white({image.name})])")
        self.text.add(f"encoded = {vae}.encode(pixels.to(DEVICE, {vae}.dtype)).latent_dist.mode()")
        shifted = f"(encoded - {vae}.config.shift_factor)" if self._shifted else "encoded"
        # contiguous, as nbgraph keeps latents: the layout decides how convolutions round
        name = self.text.assign(self.node_id, f"({shifted} * {vae}.config.scaling_factor).contiguous()", "_latents")
        self.give(latents=Variable(name), width=0, height=0)

    def _vae(self, part: ModelPart, field: str) -> str:
        """The expression of a VAE: that of a pipeline that is loaded already, else one of its own."""
        config = part.description.config("vae")
        self._shifted = bool(config.get("shift_factor"))
        if config.get("latents_mean") is not None or "scaling_factor" not in config:
            self.problem(field, "is an autoencoder whose latents are scaled channel by channel")
        for key, pipeline in self.pipelines.items():
            if key[0] == part.folder:
                return f"{pipeline}.vae"
        key = ("vae", part.folder)
        if key not in self.pipelines:
            class_name = part.description.classes["vae"].__name__
            self.text.use("diffusers", class_name)
            folder = part.description.sources["vae"].folder
            code = call_code(f"{class_name}.from_pretrained", [repr(str(folder))], **_LOADING)
            self.pipelines[key] = self.text.assign("vae", self.text.frozen(code))
        return self.pipelines[key]

    def _write_lresize(self, node: BaseInvocation) -> None:
        latents: Variable = self.value(node, "latents")
        scale = self.value(node, "vae").description.vae_scale_factor
        width, height = self.value(node, "width"), self.value(node, "height")
        code = interpolate_code(
            latents.name, (height // scale, width // scale), self.value(node, "mode"), self.value(node, "antialias")
        )
        name = self.text.assign(self.node_id, f"{code}.contiguous()")
        self.give(latents=Variable(name, width, height), width=width, height=height)

    # denoising

    def _write_denoise_latents(self, node: BaseInvocation) -> None:
        positive: Text = self.value(node, "positive")
        negative: Text | None = self.value(node, "negative")
        part: ModelPart = self.value(node, "unet")
        noise, latents = self.value(node, "noise"), self.value(node, "latents")
        family = part.description.need_family()
        usual = defaults_of(part.description)
        steps, controls = self.value(node, "steps") or usual.steps, self.values_of(node, "control")
        start = step_at(steps, self.value(node, "denoising_start"))
        self._check_parts(part, positive, negative)
        if not isinstance(noise, Drawn):
            self.problem("noise", "diffusers' pipelines go on from half-denoised latents otherwise; link Noise")
            return
        if latents is None and start:
            self.problem("denoising_start", "a pipeline from noise alone begins at its first step; link latents")
        pipeline = self._pipeline(part, positive, family)
        scheduler = self.value(node, "scheduler")
        class_name, code, why = scheduler_code(part.description, scheduler, steps, latents is not None)
        if why:
            self.problem("scheduler", why)
        self.text.use("diffusers", class_name)
        self.text.add(f"{pipeline}.scheduler = {code}")
        runner = self._runner(pipeline, family, controls, latents is not None)
        call = self._call(node, family, positive, negative, part, noise)
        call["num_inference_steps"] = repr(steps)
        self.text.add(f'generator = torch.Generator("cpu").manual_seed({noise.seed})')
        if latents is None:
            call |= self._from_noise(noise, part, family, pipeline)
        else:
            if negative is not None and negative.crop != positive.crop:
                self.problem("negative", "over an image diffusers takes the crop of the positive prompt for both")
            call |= self._from_latents(latents, steps, start, controls)
            taken = inspect.signature(family.pipeline("image_to_image").__call__).parameters
            call |= {side: repr(getattr(noise, side)) for side in ("width", "height") if side in taken}
        if controls:
            self.text.need_on_white()
            call |= control_arguments(controls, family.key in NETS, latents is not None)
        call |= {"generator": "generator", "output_type": '"latent"'}
        name = self.text.assign(self.node_id, f"{call_code(runner, [], **call)}.images", "_latents")
        if family.packed:
            size = f"{noise.height}, {noise.width}, {pipeline}.vae_scale_factor"
            self.text.add(f"{name} = {pipeline}._unpack_latents({name}, {size})")
        self.text.add(f"{name} = {name}.contiguous()")
        made = Variable(name, noise.width, noise.height)
        self.give(latents=made, width=made.width, height=made.height)

    def _check_parts(self, part: ModelPart, positive: Text, negative: Text | None) -> None:
        """Prompts and denoiser are of one pipeline in the script, with the same LoRAs."""
        for name, text in (("positive", positive), ("negative", negative)):
            if text is None:
                continue
            files = [[lora.path for lora in each.loras] for each in (part, text.clip)]
            if text.clip.folder != part.folder or files[0] != files[1] or text.clip != positive.clip:
                self.problem(name, "is encoded by another model or with other LoRAs than the denoiser has")

    def _pipeline(self, part: ModelPart, text: Text, family: Family) -> str:
        key = (part.folder, part.loras, text.clip.loras)
        if key in self.pipelines:
            return self.pipelines[key]
        class_name = family.pipeline().__name__
        self.text.use("diffusers", class_name)
        options = dict(_LOADING)
        if family.key == "stable-diffusion":
            options |= {"safety_checker": "None", "requires_safety_checker": "False"}
        code = call_code(f"{class_name}.from_pretrained", [repr(part.folder)], **options)
        name = self.pipelines[key] = self.text.assign("pipeline", self.text.frozen(code))
        names = [f"lora_{number}" for number in range(len(part.loras))]
        for adapter, lora in zip(names, part.loras):
            self.text.add(
                f"{name}.load_lora_weights({str(lora.path)!r}, adapter_name={adapter!r}, local_files_only=True)"
            )
        if names:
            self._set_loras(name, names, part, text.clip, family)
        return name

    def _set_loras(self, name: str, names: list[str], part: ModelPart, clip: ModelPart, family: Family) -> None:
        encoders = [each for each in part.description.classes if each.startswith("text_encoder")]
        weights = [
            lora.weight
            if lora.weight == text.weight
            else {family.denoiser: lora.weight, **dict.fromkeys(encoders, text.weight)}
            for lora, text in zip(part.loras, clip.loras)
        ]
        self.text.add(f"{name}.set_adapters({names!r}, {weights!r})")
        self.text.add(f"frozen({name})")

    def _runner(self, pipeline: str, family: Family, controls: list[Steering], from_image: bool) -> str:
        """The pipeline that is called: the plain one, or one for images or ControlNets over the same components."""
        mapping: Any = AUTO_IMAGE2IMAGE_PIPELINES_MAPPING if from_image else AUTO_TEXT2IMAGE_PIPELINES_MAPPING
        key = f"{family.key}-controlnet" if controls else family.key
        if not controls and not from_image:
            return pipeline
        if key not in mapping or (controls and from_image and family.key in NETS):
            self.problem("control", f"nbgraph draws with ControlNets otherwise than diffusers for {family.key!r}")
            return pipeline
        class_name, net_class = mapping[key].__name__, NETS.get(family.key, "ControlNetModel")
        self.text.use("diffusers", class_name)
        nets: list[str] = []
        for control in controls:
            self.text.use("diffusers", net_class)
            code = call_code(f"{net_class}.from_pretrained", [repr(control.folder)], **_LOADING)
            nets.append(self.text.assign("controlnet", self.text.frozen(code)))
        options: dict[str, str] = {}
        if nets:
            options["controlnet"] = nets[0] if family.key in NETS and len(nets) == 1 else f"[{', '.join(nets)}]"
        if nets and family.key in NETS:
            self.text.need_means()
            options["vae"] = f"encoding_means({pipeline}.vae)"
        return self.text.assign(
            "drawing", call_code(f"{class_name}.from_pipe", [pipeline], **options, torch_dtype="DTYPE")
        )

    def _call(
        self, node: BaseInvocation, family: Family, positive: Text, negative: Text | None, part: ModelPart, noise: Drawn
    ) -> dict[str, str]:
        cfg, guidance = self.value(node, "cfg_scale"), self.value(node, "guidance")
        if cfg is None:
            cfg = default_cfg(part.description, negative is not None)
        if guidance is None:
            guidance = defaults_of(part.description).guidance
        call = {"prompt": repr(positive.text)}
        if positive.style:
            call["prompt_2"] = repr(positive.style)
        if negative is not None and cfg > family.cfg_off:
            call["negative_prompt"] = repr(negative.text)
            if negative.style:
                call["negative_prompt_2"] = repr(negative.style)
        for prefix, text in (("", positive), ("negative_", negative)):
            sizes = text.sizes if text else ()
            call |= {prefix + name: repr(size or (noise.height, noise.width)) for name, size in sizes}
        if family.cfg:
            made = part.description.options.get("force_zeros_for_empty_prompt", family.key == "stable-diffusion-xl")
            call[family.cfg] = repr(float(cfg if negative is not None or made else family.cfg_off))
            if negative is None and not made and cfg > family.cfg_off and family.cfg == "guidance_scale":
                self.problem("negative", f"is left out, and cfg_scale {cfg:g} needs one; link a Prompt")
        if family.guidance:
            # written out, since the pipelines from an image have another default than those from noise
            call[family.guidance] = repr(family.usual_guidance if guidance is None else guidance)
        return call

    def _from_noise(self, noise: Drawn, part: ModelPart, family: Family, pipeline: str) -> dict[str, str]:
        description = part.description
        scale = description.vae_scale_factor
        shape = (1, description.latent_channels, noise.height // scale, noise.width // scale)
        self.text.add(f"noise = torch.randn({shape}, generator=generator).to(DEVICE, DTYPE)")
        if family.packed:
            self.text.add(f"noise = {pipeline}._pack_latents(noise, {', '.join(map(str, shape))})")
        return {"latents": "noise", "width": repr(noise.width), "height": repr(noise.height)}

    def _from_latents(self, latents: Variable, steps: int, start: int, controls: list[Steering]) -> dict[str, str]:
        if self.device != "cpu":
            self.problem("latents", "in half precision diffusers draws other noise over an image; export for the CPU")
        if any((control.begin, control.end) != (0.0, 1.0) for control in controls):
            self.problem("control", "over an image diffusers counts the span of a ControlNet from the first step done")
        strength = (steps - start) / steps
        if int(steps * strength) != steps - start:
            strength = (steps - start + 0.5) / steps  # pipelines cut the product off; half a step keeps it exact
        return {"image": latents.name, "strength": repr(strength)}

    def _save_images(self) -> None:
        """Save every image that is shown, saved, or needed by nothing else."""
        used = {(link.source, link.output) for node_id in self.graph.nodes for link in self.graph.links(node_id)}
        for node_id, node in self.graph.nodes.items():
            image = self.outputs.get((node_id, "image"))
            is_end = (node_id, "image") not in used and node.type in ("l2i", "save_image", "show_image")
            if isinstance(image, Variable) and is_end:
                self.text.save(image.name, node_id)


_LOADING = {"torch_dtype": "DTYPE", "use_safetensors": "True", "local_files_only": "True"}
"""How weights are loaded: as nbgraph does it, without a network and without pickles."""
