"""ComfyUI's workflows as graphs: the node types that most pictures are made with, each as it computes there.

A workflow is read from its ends. Every node becomes one of ours, or several, or a value that the next one uses;
whatever has no counterpart becomes a placeholder, and the report names it.
"""

from typing import Any, get_args

from nbgraph.diffusion.tool_names import ToolSamplerName, ToolScheduleName
from nbgraph.recipes.comfy_format import ComfyNode, Nodes
from nbgraph.recipes.comfy_models import ModelReader
from nbgraph.recipes.comfy_values import Empty, Guider, Latent, Prompted, Steps
from nbgraph.recipes.graph_builder import Out
from nbgraph.recipes.opened import Report
from nbgraph.recipes.samplers import DRAWING, OTHER_GENERATOR
from nbgraph.recipes.shelf import Shelf
from nbgraph.services.shared.graph.graph import Graph

SAMPLERS = {"ddim": "euler", "dpmpp_2m_sde_gpu": "dpmpp_2m_sde", "dpmpp_3m_sde_gpu": "dpmpp_3m_sde"}
NEAREST = {"res_multistep": "dpmpp_2m", "dpmpp_2s_ancestral": "euler_ancestral", "dpm_2": "heun", "heunpp2": "heun"}
RESIZE = {"nearest-exact": "nearest", "bilinear": "bilinear", "area": "box", "bicubic": "bicubic", "lanczos": "lanczos"}


def import_comfy(nodes: Nodes, shelf: Shelf, report: Report) -> Graph:
    """Return the graph of a workflow; `GraphError` where its values fit no node."""
    return ComfyImport(nodes, shelf, report).graph()


class ComfyImport(ModelReader):
    """Reads prompts, images, latents and sampling."""

    def __init__(self, nodes: Nodes, shelf: Shelf, report: Report) -> None:
        super().__init__(nodes, shelf, report)
        self._of_one_side: set[Out] = set()
        """ControlNets that steer no other prompt than the ones they are applied to."""

    # prompts

    def _read_CLIPTextEncode(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        text, clip = self._input(node, "text", ""), self._input(node, "clip")
        made = self._add("tool_prompt", node.title or "prompt", text=text, clip=clip, syntax="comfy")
        return (Prompted(Out(made, "conditioning")),)

    def _read_ConditioningZeroOut(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        given: Prompted = self._input(node, "conditioning")
        zeros = self._add("zero_conditioning", "zeros", conditioning=given.conditioning)
        return (Prompted(Out(zeros, "conditioning"), given.controls, given.guidance),)

    def _read_FluxGuidance(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        given: Prompted = self._input(node, "conditioning")
        return (Prompted(given.conditioning, given.controls, float(self._input(node, "guidance", 3.5))),)

    def _read_ControlNetLoader(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        return (self.shelf.model(self._text(node, "control_net_name"), self.report),)

    def _control(self, node: ComfyNode) -> Out:
        made = self._add(
            "controlnet",
            "controlnet",
            image=self._input(node, "image"),
            control_model=self._input(node, "control_net", ""),
            control_weight=float(self._input(node, "strength", 1.0)),
            begin_step_percent=float(self._input(node, "start_percent", 0.0)),
            end_step_percent=float(self._input(node, "end_percent", 1.0)),
        )
        return Out(made, "control")

    def _read_ControlNetApply(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        return (self._input(node, "conditioning").controlled(self._control(node)),)

    def _read_ControlNetApplyAdvanced(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        control = self._control(node)
        self._of_one_side.add(control)
        return tuple(self._input(node, side).controlled(control) for side in ("positive", "negative"))

    # pictures and latents

    def _read_EmptyLatentImage(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        width, height = (self._input(node, name, 512) for name in ("width", "height"))
        return (Empty(width, height, int(self._input(node, "batch_size", 1))),)

    _read_EmptySD3LatentImage = _read_EmptyLatentImage  # noqa: N815

    def _read_LoadImage(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        name = self._text(node, "image")
        self.report.missing(f"picture {name!r}", "its path is that of another machine's folder; give one that is here")
        loaded = Out(self._add("load_image", "picture", path=name), "image")
        # its first output has the colors of transparent parts too, the second one is made of its transparency
        return Out(self._add("img_conv", "colors", image=loaded, mode="RGB"), "image"), loaded

    def _read_VAEDecode(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        latent: Latent = self._input(node, "samples")
        made = self._add("l2i", node.title or "image", latents=latent.latents, vae=self._input(node, "vae"))
        return (Out(made, "image"),)

    def _read_VAEEncode(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        self.report.exact(
            "VAEEncode", "the mean, as there since July 2025; sides that are cropped there are refused here"
        )
        made = self._add("i2l", "latents", image=self._input(node, "pixels"), vae=self._input(node, "vae"))
        return (Latent(Out(made, "latents")),)

    def _read_VAEEncodeForInpaint(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        image, mask = self._input(node, "pixels"), self._input(node, "mask")
        self.report.exact("VAEEncodeForInpaint", "the mean, as there since July 2025")
        alpha = self._add("tomask", "mask", image=mask, invert=True)
        made = self._add(
            "tool_inpaint",
            "latents",
            image=image,
            mask=Out(alpha, "image"),
            vae=self._input(node, "vae"),
            grow_mask_by=int(self._input(node, "grow_mask_by", 6)),
        )
        return (Latent(Out(made, "latents"), Out(made, "denoise_mask")),)

    def _read_SetLatentNoiseMask(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        latent: Latent = self._input(node, "samples")
        return (Latent(latent.latents, self._mask(self._input(node, "mask")), latent.batch_size, latent.batch_index),)

    def _mask(self, picture: Out) -> Out:
        """A mask as ComfyUI takes it from a picture: what is transparent may change."""
        alpha = self._add("tomask", "mask", image=picture, invert=True)
        return Out(
            self._add("create_denoise_mask", "denoise_mask", mask=Out(alpha, "image"), soft=True), "denoise_mask"
        )

    def _read_ImageScale(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        method = self._text(node, "upscale_method", "nearest-exact")
        crop = self._input(node, "crop", "disabled")
        if method != "lanczos" or crop != "disabled":
            self.report.differs("ImageScale", f"{method} is Pillow's here, and nothing is cropped")
        size = {name: int(self._input(node, name, 512)) for name in ("width", "height")}
        resized = self._add(
            "img_resize", "resized", image=self._input(node, "image"), **size, resample_mode=RESIZE[method]
        )
        return (Out(resized, "image"),)

    def _read_LatentUpscale(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        size = {name: int(self._input(node, name, 512)) for name in ("width", "height")}
        return (self._resized(node, "lresize", **size),)

    def _read_LatentUpscaleBy(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        return (self._resized(node, "lscale", scale_factor=float(self._input(node, "scale_by", 1.5))),)

    def _resized(self, node: ComfyNode, type_name: str, **size: Any) -> Latent:
        latent: Latent = self._input(node, "samples")
        method = self._text(node, "upscale_method", "nearest-exact")
        if method == "bislerp":
            self.report.differs(node.type, "bislerp has no equivalent; bicubic is taken")
            method = "bicubic"
        if self._input(node, "crop", "disabled") != "disabled":
            self.report.differs(node.type, "nothing is cropped here")
        made = self._add(type_name, "resized", latents=latent.latents, vae=self._vae(), mode=method, **size)
        return Latent(Out(made, "latents"), latent.mask, latent.batch_size, latent.batch_index)

    def _read_SaveImage(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        self._add("save_image", "save", image=self._input(node, "images"))
        return ()

    def _read_PreviewImage(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        self._add("show_image", "show", image=self._input(node, "images"))
        return ()

    # sampling

    def _read_KSampler(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        return (self._sampled(node, denoise=float(self._input(node, "denoise", 1.0)), seed="seed"),)

    def _read_KSamplerAdvanced(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        return (
            self._sampled(
                node,
                seed="noise_seed",
                start_step=int(self._input(node, "start_at_step", 0)),
                end_step=min(int(self._input(node, "end_at_step", 10_000)), int(self._input(node, "steps", 20))),
                add_noise=self._input(node, "add_noise", "enable") == "enable",
                leftover_noise=self._input(node, "return_with_leftover_noise", "disable") == "enable",
            ),
        )

    def _sampled(self, node: ComfyNode, seed: str, **more: Any) -> Latent:
        guider = Guider(
            self._input(node, "model"),
            self._input(node, "positive"),
            self._input(node, "negative"),
            float(self._input(node, "cfg", 8.0)),
        )
        steps = Steps(self._text(node, "scheduler", "normal"), int(self._input(node, "steps", 20)), 1.0)
        sampler, latent = self._text(node, "sampler_name", "euler"), self._input(node, "latent_image")
        return self._sampler(guider, steps, sampler, latent, int(self._input(node, seed, 0)), **more)

    def _read_RandomNoise(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        return (int(self._input(node, "noise_seed", 0)),)

    def _read_KSamplerSelect(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        return (self._text(node, "sampler_name", "euler"),)

    def _read_BasicScheduler(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        denoise = float(self._input(node, "denoise", 1.0))
        model = self._input(node, "model")
        return (Steps(self._text(node, "scheduler", "normal"), int(self._input(node, "steps", 20)), denoise, model),)

    def _read_BasicGuider(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        return (Guider(self._input(node, "model"), self._input(node, "conditioning")),)

    def _read_CFGGuider(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        sides = self._input(node, "positive"), self._input(node, "negative")
        return (Guider(self._input(node, "model"), *sides, float(self._input(node, "cfg", 8.0))),)

    def _read_SamplerCustomAdvanced(self, node: ComfyNode) -> tuple[Any, ...]:  # noqa: N802
        guider: Guider = self._input(node, "guider")
        steps: Steps = self._input(node, "sigmas")
        guider = Guider(steps.model or guider.model, guider.positive, guider.negative, guider.cfg)
        seed, sampler = self._input(node, "noise", 0), self._text(node, "sampler", "euler")
        made = self._sampler(guider, steps, sampler, self._input(node, "latent_image"), seed, denoise=steps.denoise)
        return made, made

    def _sampler(self, guider: Guider, steps: Steps, sampler: str, latent: Any, seed: int, **more: Any) -> Latent:
        name, schedule = self._checked(sampler, steps.schedule)
        sides = [side for side in (guider.positive, guider.negative) if side is not None]
        controls = list(dict.fromkeys(control for side in sides for control in side.controls))
        self._name_one_sided(guider, sides, controls)
        size: dict[str, Any] = {}
        batch, index = latent.batch_size, getattr(latent, "batch_index", None)
        if isinstance(latent, Empty):
            size = {"width": latent.width, "height": latent.height}
            if batch > 1:
                numbers = self._add("range", "pictures", start=0, stop=batch)
                index = Out(self._add("iterate", "each_picture", collection=Out(numbers, "collection")), "item")
        made = self._add(
            "tool_sampler",
            "sampler",
            unet=guider.model.unet,
            shift=guider.model.shift,
            positive=guider.positive.conditioning,
            negative=guider.negative.conditioning if guider.negative else None,
            guidance=guider.positive.guidance,
            control=controls or None,
            latents=None if isinstance(latent, Empty) else latent.latents,
            denoise_mask=None if isinstance(latent, Empty) else latent.mask,
            batch_size=batch,
            batch_index=index,
            seed=seed,
            steps=steps.steps,
            cfg_scale=guider.cfg,
            sampler=name,
            schedule=schedule,
            **size,
            **more,
        )
        return Latent(Out(made, "latents"), getattr(latent, "mask", None), batch, index)

    def _name_one_sided(self, guider: Guider, sides: list[Prompted], controls: list[Out]) -> None:
        """Report what is of one prompt there, and of both here."""
        if any(control in self._of_one_side and control not in side.controls for control in controls for side in sides):
            self.report.differs("ControlNet", "it steers one of the two prompts there, and both here")
        if len({side.guidance for side in sides}) > 1 and guider.cfg != 1:
            self.report.differs(
                "FluxGuidance", "the two prompts have different guidance there; here it is the positive's"
            )

    def _checked(self, sampler: str, schedule: str) -> tuple[str, str]:
        name = SAMPLERS.get(sampler, sampler)
        if name not in get_args(ToolSamplerName):
            nearest = NEAREST.get(name, "euler")
            self.report.differs(f"sampler {sampler}", f"it has no equivalent here; {nearest} is taken")
            name = nearest
        elif name in DRAWING:
            self.report.differs(f"sampler {sampler}", OTHER_GENERATOR)
        else:
            self.report.exact(f"sampler {sampler}")
        if schedule not in get_args(ToolScheduleName):
            self.report.differs(f"scheduler {schedule}", "it has no equivalent here; normal is taken")
            schedule = "normal"
        return name, schedule
