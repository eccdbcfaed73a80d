"""Models of the sizes that people use, with random weights, drawn with by nbgraph and by diffusers alone."""

import gc
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
from benchmarks.sdxl_sized import VAE_WIDTHS, build_sdxl_sized
from diffusers import AutoencoderKL, DiffusionPipeline, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image

import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, Iterate, LatentsToImage, ModelLoader, Noise, Prompt
from nbgraph.services.events.events_common import NodeCompleted
from nbgraph.services.invocation_stats.invocation_stats_common import NodeStats
from tests.tiny_models import BUILDERS
from tests.tiny_models.parts import clip, clip_tokenizer, ddim

TEXT, CFG = "a red cat", 4.0
SD15_WIDTHS, TINY_WIDTHS = (320, 640, 1280, 1280), (32, 32, 64, 64)


class Drawn(NamedTuple):
    """Pictures with the seconds and the bytes of device memory that they took beyond the weights."""

    pictures: list[Image.Image]
    seconds: float
    bytes: int


def build_sd15_sized(
    folder: Path, device: str, widths: tuple[int, ...] = SD15_WIDTHS, vae_widths: tuple[int, ...] = VAE_WIDTHS
) -> Path:
    """Write a model with the UNet (860 million parameters) and the autoencoder of Stable Diffusion 1.5, in float16."""
    tokenizer = clip_tokenizer(folder / "tokenizer")
    blocks: dict[str, Any] = {
        "block_out_channels": vae_widths,
        "down_block_types": ("DownEncoderBlock2D",) * len(vae_widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(vae_widths),
    }
    with torch.device(device):
        torch.manual_seed(0)
        sizes: dict[str, Any] = {"block_out_channels": widths, "cross_attention_dim": 768, "attention_head_dim": 8}
        unet = UNet2DConditionModel(sample_size=64, **sizes).half()
        vae = AutoencoderKL(layers_per_block=2, sample_size=512, force_upcast=False, **blocks).half()
    parts: dict[str, Any] = {"tokenizer": tokenizer, "text_encoder": clip(tokenizer, 768).half(), "scheduler": ddim()}
    parts |= {"safety_checker": None, "feature_extractor": None}
    StableDiffusionPipeline(vae=vae, unet=unet, requires_safety_checker=False, **parts).save_pretrained(folder)
    return folder


class Bench:
    """One model, in a studio that caches no results, and as a pipeline of diffusers on the same device."""

    def __init__(self, name: str, folder: Path, device: str, *, is_tiny: bool) -> None:
        self.name, self.device = name, device
        self.side, self.steps = (64, 2) if is_tiny else (512, 20) if name == "sd15" else (1024, 20)
        dtype = "float32" if is_tiny else "float16"
        if name == "sd15":
            self.folder = build_sd15_sized(folder, device, *([TINY_WIDTHS, TINY_WIDTHS] if is_tiny else []))
        else:
            self.folder = BUILDERS[name](folder) if is_tiny else build_sdxl_sized(folder, device)
        pixels = 8 * self.side**2
        self.settings = nb.Settings(device=device, dtype=dtype, cache_entries=0, batch_pixels=pixels)
        self._dtype: Any = getattr(torch, dtype)
        self._open = ExitStack()

    def __enter__(self) -> "Bench":
        self.studio = self._open.enter_context(nb.Studio(settings=self.settings))
        pipeline: Any = DiffusionPipeline.from_pretrained(self.folder, dtype=self._dtype, local_files_only=True)
        self.pipeline = pipeline.to(self.device)
        self.pipeline.set_progress_bar_config(disable=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        del self.pipeline
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def graph(self, seeds: list[int]) -> LatentsToImage:
        """Return the node of pictures with these seeds."""
        loader = ModelLoader(model=str(self.folder))
        seed = Iterate(collection=seeds) if len(seeds) > 1 else seeds[0]
        noise = Noise(unet=loader, seed=seed, width=self.side, height=self.side)
        text, nothing = (Prompt(text=words, clip=loader) for words in (TEXT, ""))
        latents = DenoiseLatents(
            id="denoise", unet=loader, positive=text, negative=nothing, noise=noise, steps=self.steps, cfg_scale=CFG
        )
        return LatentsToImage(id="image", latents=latents, vae=loader)

    def by_graph(self, *seeds: int, strict: bool = False) -> Drawn:
        """Draw with nodes."""
        return self._drawn(lambda: self.studio.run(self.graph([*seeds]), progress=False, strict=strict).images)

    def plain(self, seed: int) -> Drawn:
        """Draw with one call of the pipeline."""

        def draw() -> list[Image.Image]:
            return self.pipeline(
                TEXT, negative_prompt="", height=self.side, width=self.side, num_inference_steps=self.steps,
                guidance_scale=CFG, generator=torch.Generator("cpu").manual_seed(seed),
            ).images  # fmt: skip

        return self._drawn(draw)

    def stats_of(self, seed: int) -> tuple[dict[str, NodeStats], dict[str, tuple[int | None, int | None]]]:
        """Draw; return the stats by node, and what torch counted (most allocated, most reserved) as each node ended."""
        counted: dict[str, tuple[int | None, int | None]] = {}

        def note(event: object) -> None:
            if isinstance(event, NodeCompleted):
                has_counters = self.device == "cuda"
                found = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
                counted[event.node] = found if has_counters else (None, None)

        services = self.studio.services
        end = services.events.subscribe(note)
        try:
            run = self.studio.run(self.graph([seed]), progress=False)
        finally:
            end()
        return {row.node: row for row in services.performance_statistics.rows(run.id)}, counted

    def _drawn(self, draw: Callable[[], list[Image.Image]]) -> Drawn:
        has_counters = self.device == "cuda"
        before = 0
        if has_counters:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        began = time.perf_counter()
        pictures = draw()
        if has_counters:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        return Drawn(list(pictures), seconds, torch.cuda.max_memory_allocated() - before if has_counters else 0)
