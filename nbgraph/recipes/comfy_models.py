"""ComfyUI's nodes that load models, or change them: checkpoints, parts in files of their own, LoRAs, shifts."""

from typing import Any

from nbgraph.diffusion.tool_sigmas import flux_shift
from nbgraph.recipes.comfy_format import ComfyNode
from nbgraph.recipes.comfy_reader import ComfyReader
from nbgraph.recipes.comfy_values import Model
from nbgraph.recipes.graph_builder import Out
from nbgraph.recipes.opened import Report

XL_DEFAULT = 2
"""The last layers that SDXL's text encoders leave out by themselves, counted as CLIPSetLastLayer does."""
ENCODER_KINDS = {"stable_diffusion": "sd1", "sdxl": "sdxl", "sd3": "sd3-medium", "flux": "flux-dev"}
"""Kinds of models whose text encoders are loaded from files, by the type that ComfyUI's loaders are told."""
ENCODERS = {
    "sd1": ("stable_diffusion", "stable-diffusion"),
    "sd2": ("stable_diffusion", "stable-diffusion"),
    "sdxl": ("sdxl", "stable-diffusion-xl"),
    "sd3-medium": ("sd3", "stable-diffusion-3"),
    "sd35-medium": ("sd3", "stable-diffusion-3"),
    "sd35-large": ("sd3", "stable-diffusion-3"),
    "flux-dev": ("flux", "flux"),
    "flux-schnell": ("flux", "flux"),
}
"""ComfyUI's type of text encoders, and their family, by kind of model."""
ENCODER_LOADERS = ("CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader")


class ModelReader(ComfyReader):
    """Reads the nodes that load models.

    A folder is a whole model. Parts in files are loaded one by one, and what of them is not here is taken from the
    folder that another part was found in, if there is one.
    """

    def _model(self, name: str) -> str:
        known = self.shelf.model(name, self.report)
        if not self.shelf.is_stable_diffusion(known):
            self.report.differs(f"prompts for {name!r}", "they are encoded as diffusers does for such a model")
        return known

    def _read_CheckpointLoaderSimple(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802 - ComfyUI's names
        loader = self._add("model_loader", "model", model=self._model(self._text(node, "ckpt_name")))
        return Model(Out(loader, "unet")), Out(loader, "clip"), Out(loader, "vae")

    def _read_UNETLoader(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        known = self._model(self._text(node, "unet_name"))
        stored = self._text(node, "weight_dtype", "default")
        precision = "fp8" if stored.startswith("fp8") else None
        if precision:
            self.report.differs(f"weight_dtype {stored}", "each layer is cast while it computes")
        loader = "model_loader" if self.shelf.is_folder(known) else "transformer_loader"
        return (Model(Out(self._add(loader, "model", model=known, precision=precision), "unet")),)

    def _folder_loader(self) -> str | None:
        """The node that loads a whole model from a folder, in place of a transformer; None without one."""
        loaders = [each.id for each in self.nodes.values() if each.type == "UNETLoader"]
        for model in (next(iter(self._outputs(loader)), None) for loader in loaders):
            if isinstance(model, Model) and self.builder.nodes[model.unet.node]["type"] == "model_loader":
                return model.unet.node
        return None

    def _read_CLIPLoader(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        names = [self._text(node, name) for name in sorted(node.inputs) if name.startswith("clip_name")]
        kind, found = self._encoder_kind(node), Report()
        files = [self.shelf.file(name, found) for name in names]
        folder = self._folder_loader()
        if folder is not None and (kind is None or found.of("missing")):
            self.report.differs(f"text encoders {', '.join(names)}", "taken from the model's own folder")
            return (Out(folder, "clip"),)
        if kind is None:
            told = self._input(node, "type", "")
            return self._placeholder(node, f"text encoders of the type {told!r} are read from the folder of a model")
        self.report.extend(found)
        return (Out(self._add("text_encoder_loader", "text_encoders", kind=kind, files=files), "clip"),)

    _read_DualCLIPLoader = _read_CLIPLoader  # noqa: N815
    _read_TripleCLIPLoader = _read_CLIPLoader  # noqa: N815

    def _encoder_kind(self, node: ComfyNode) -> str | None:
        told = "sd3" if node.type == "TripleCLIPLoader" else self._text(node, "type")
        kind = ENCODER_KINDS.get(told)
        denoisers = [each for each in self.nodes.values() if each.type == "UNETLoader"]
        if kind == "flux-dev" and any("schnell" in str(self._input(each, "unet_name", "")) for each in denoisers):
            return "flux-schnell"
        return kind

    def _read_VAELoader(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        name, found = self._text(node, "vae_name"), Report()
        known, folder = self.shelf.model(name, found), self._folder_loader()
        if found.of("missing") and folder is not None:
            self.report.differs(f"VAE {name!r}", "taken from the model's own folder")
            return (Out(folder, "vae"),)
        self.report.extend(found)
        # the model that a VAE file is used with says how its latents are scaled
        used_with = None if self.shelf.is_folder(known) else self._denoiser()
        return (Out(self._add("vae_loader", "vae", vae_model=known, unet=used_with), "vae"),)

    def _denoiser(self) -> Out | None:
        """The denoiser that a workflow loads first; None without one."""
        types = ("UNETLoader", "CheckpointLoaderSimple")
        model = self._first(*types) if any(each.type in types for each in self.nodes.values()) else None
        return model.unet if isinstance(model, Model) else None

    def _vae(self) -> Out:
        """The VAE that a workflow loads first, which says how many pixels a latent has."""
        for loader in ("model_loader", "vae_loader"):
            for name, values in self.builder.nodes.items():
                if values["type"] == loader:
                    return Out(name, "vae")
        return self._first("VAELoader")

    def _read_LoraLoader(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        model, clip = self._input(node, "model"), self._input(node, "clip")
        path = self.shelf.lora(self._text(node, "lora_name"), self.report)
        weight, text = (float(self._input(node, name, 1.0)) for name in ("strength_model", "strength_clip"))
        own = None if text == weight else text
        lora = self._add("lora_loader", "lora", lora=path, weight=weight, clip_weight=own, unet=model.unet, clip=clip)
        return Model(Out(lora, "unet"), model.shift), Out(lora, "clip")

    def _read_LoraLoaderModelOnly(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        model = self._input(node, "model")
        path = self.shelf.lora(self._text(node, "lora_name"), self.report)
        weight = float(self._input(node, "strength_model", 1.0))
        clip = self._clip_beside(model)
        lora = self._add("lora_loader", "lora", lora=path, weight=weight, unet=model.unet, clip=clip)
        return (Model(Out(lora, "unet"), model.shift),)

    def _clip_beside(self, model: Model) -> Out:
        """Text encoders for a LoRA that changes the denoiser alone; nothing reads them with it."""
        base = self._base_of(model.unet)
        if self.builder.nodes[base]["type"] == "model_loader":
            return Out(base, "clip")
        return self._first(*ENCODER_LOADERS)

    def _base_of(self, out: Out) -> str:
        """The loader that a denoiser or text encoders come from."""
        for each in self.builder.edges:
            if each["destination"] == {"node_id": out.node, "field": out.field}:
                return self._base_of(Out(each["source"]["node_id"], each["source"]["field"]))
        return out.node

    def _is_xl(self, clip: Out) -> bool:
        base = self.builder.nodes.get(self._base_of(clip), {})
        if base.get("type") == "text_encoder_loader":
            return base["kind"] == "sdxl"
        return self.shelf.is_stable_diffusion_xl(str(base.get("model", "")))

    def _read_CLIPSetLastLayer(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        clip, last = self._input(node, "clip"), -int(self._input(node, "stop_at_clip_layer", -1))
        skipped = last - (XL_DEFAULT if self._is_xl(clip) else 1)
        if skipped < 0:
            self.report.differs("CLIPSetLastLayer -1", "SDXL's text encoders leave out their last layer here")
            return (clip,)
        if not skipped:
            return (clip,)
        return (Out(self._add("clip_skip", "clip_skip", clip=clip, skipped_layers=skipped), "clip"),)

    def _read_ModelSamplingSD3(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        return (Model(self._input(node, "model").unet, float(self._input(node, "shift", 3.0))),)

    _read_ModelSamplingAuraFlow = _read_ModelSamplingSD3  # noqa: N815

    def _read_ModelSamplingFlux(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        size = int(self._input(node, "width", 1024)), int(self._input(node, "height", 1024))
        shifts = float(self._input(node, "base_shift", 0.5)), float(self._input(node, "max_shift", 1.15))
        return (Model(self._input(node, "model").unet, flux_shift(*size, *shifts)),)
