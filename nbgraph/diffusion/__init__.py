"""How diffusers is driven: model folders in, latents, conditioning and pictures out; knows no graph and no service.

The names below load torch and diffusers when first used, and only then: nodes write `from nbgraph import diffusion` and
`diffusion.denoise(...)`.
"""

from importlib import import_module
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nbgraph.loading import load as load_whole

_HOMES = {
    "CacheUser": "cache_reports",
    "Conditioning": "values",
    "Control": "controls",
    "ControlImage": "inpainting",
    "control_lora_problem": "control_loras",
    "DenoiseInput": "batching",
    "DenoiseSettings": "denoising",
    "DeviceMeter": "meters",
    "ImagePrompt": "image_prompts",
    "Latents": "values",
    "ModelCache": "model_cache",
    "PreviewFactors": "preview",
    "References": "references",
    "SizeConditioning": "values",
    "T2iAdapter": "t2i_adapters",
    "batch_noise": "tool_sampling",
    "Tiling": "tiled",
    "ToolSettings": "tool_sampling",
    "WHOLE": "refs",
    "argument_problems": "whole_pipelines",
    "average_conditioning": "mixed_conditioning",
    "blend_latents": "noise",
    "caption": "image_readers",
    "estimate_depth": "image_readers",
    "segment_at": "image_readers",
    "segments_of": "image_readers",
    "check_precision": "quantised",
    "aesthetic_score": "metric_models",
    "check_weights": "description",
    "clip_score": "metric_models",
    "combine_conditioning": "mixed_conditioning",
    "masked_conditioning": "mixed_conditioning",
    "Tiles": "rows",
    "concat_conditioning": "mixed_conditioning",
    "convert_pickle": "convert",
    "decode_many": "batching",
    "decode_together": "batching",
    "decode_latents": "vae",
    "default_cfg": "defaults",
    "default_dtype": "device",
    "defaults_of": "defaults",
    "embedding_problem": "textual_inversion",
    "embedding_tokens": "lora_files",
    "empty_latents": "noise",
    "denoise": "denoising",
    "denoise_many": "batching",
    "denoise_together": "batching",
    "describe_model": "description",
    "decode_needs_tiles": "vae",
    "device_kind": "device",
    "draw_noise": "noise",
    "encode_for_inpainting": "tool_inpaint",
    "encode_image": "vae",
    "encode_instruction": "references",
    "encode_many": "batching",
    "encode_masked_image": "inpainting",
    "encode_prompt": "prompt",
    "encode_prompts": "prompt",
    "encode_together": "batching",
    "encode_tool_prompt": "tool_prompt",
    "encode_weighted_prompt": "weighted_prompt",
    "encodes_alike": "prompt",
    "encodes_controls": "latent_controls",
    "latent_mask": "masks",
    "lora_problem": "lora_files",
    "lpips": "metric_models",
    "needs_images": "reference_limits",
    "lora_problem_over": "quantised",
    "read_embedding_header": "textual_inversion",
    "processor_problem": "reference_limits",
    "reads_images": "reference_limits",
    "reference_problem": "reference_limits",
    "resize_latents": "noise",
    "run_whole": "whole_pipelines",
    "SamplingOptions": "sampling_options",
    "sampling_problems": "schedulers",
    "sample_as_tool": "tool_sampling",
    "scale_latents": "noise",
    "shape_key": "joining",
    "source_problem": "quantised",
    "takes_negative": "arguments",
    "tool_mask": "tool_inpaint",
    "upscale": "upscalers",
    "vae_problem": "reference_limits",
    "with_seed": "noise",
}

if TYPE_CHECKING:
    from nbgraph.diffusion.arguments import takes_negative as takes_negative
    from nbgraph.diffusion.batching import DenoiseInput as DenoiseInput
    from nbgraph.diffusion.batching import decode_many as decode_many
    from nbgraph.diffusion.batching import decode_together as decode_together
    from nbgraph.diffusion.batching import denoise_many as denoise_many
    from nbgraph.diffusion.batching import denoise_together as denoise_together
    from nbgraph.diffusion.batching import encode_many as encode_many
    from nbgraph.diffusion.batching import encode_together as encode_together
    from nbgraph.diffusion.cache_reports import CacheUser as CacheUser
    from nbgraph.diffusion.control_loras import control_lora_problem as control_lora_problem
    from nbgraph.diffusion.controls import Control as Control
    from nbgraph.diffusion.convert import convert_pickle as convert_pickle
    from nbgraph.diffusion.defaults import default_cfg as default_cfg
    from nbgraph.diffusion.defaults import defaults_of as defaults_of
    from nbgraph.diffusion.denoising import DenoiseSettings as DenoiseSettings
    from nbgraph.diffusion.denoising import denoise as denoise
    from nbgraph.diffusion.description import check_weights as check_weights
    from nbgraph.diffusion.description import describe_model as describe_model
    from nbgraph.diffusion.device import default_dtype as default_dtype
    from nbgraph.diffusion.device import device_kind as device_kind
    from nbgraph.diffusion.image_prompts import ImagePrompt as ImagePrompt
    from nbgraph.diffusion.image_readers import caption as caption
    from nbgraph.diffusion.image_readers import estimate_depth as estimate_depth
    from nbgraph.diffusion.image_readers import segment_at as segment_at
    from nbgraph.diffusion.image_readers import segments_of as segments_of
    from nbgraph.diffusion.inpainting import ControlImage as ControlImage
    from nbgraph.diffusion.inpainting import encode_masked_image as encode_masked_image
    from nbgraph.diffusion.joining import shape_key as shape_key
    from nbgraph.diffusion.latent_controls import encodes_controls as encodes_controls
    from nbgraph.diffusion.lora_files import embedding_tokens as embedding_tokens
    from nbgraph.diffusion.lora_files import lora_problem as lora_problem
    from nbgraph.diffusion.masks import latent_mask as latent_mask
    from nbgraph.diffusion.meters import DeviceMeter as DeviceMeter
    from nbgraph.diffusion.metric_models import aesthetic_score as aesthetic_score
    from nbgraph.diffusion.metric_models import clip_score as clip_score
    from nbgraph.diffusion.metric_models import lpips as lpips
    from nbgraph.diffusion.mixed_conditioning import average_conditioning as average_conditioning
    from nbgraph.diffusion.mixed_conditioning import combine_conditioning as combine_conditioning
    from nbgraph.diffusion.mixed_conditioning import concat_conditioning as concat_conditioning
    from nbgraph.diffusion.mixed_conditioning import masked_conditioning as masked_conditioning
    from nbgraph.diffusion.model_cache import ModelCache as ModelCache
    from nbgraph.diffusion.noise import blend_latents as blend_latents
    from nbgraph.diffusion.noise import draw_noise as draw_noise
    from nbgraph.diffusion.noise import empty_latents as empty_latents
    from nbgraph.diffusion.noise import resize_latents as resize_latents
    from nbgraph.diffusion.noise import scale_latents as scale_latents
    from nbgraph.diffusion.noise import with_seed as with_seed
    from nbgraph.diffusion.preview import PreviewFactors as PreviewFactors
    from nbgraph.diffusion.prompt import encode_prompt as encode_prompt
    from nbgraph.diffusion.prompt import encode_prompts as encode_prompts
    from nbgraph.diffusion.prompt import encodes_alike as encodes_alike
    from nbgraph.diffusion.quantised import check_precision as check_precision
    from nbgraph.diffusion.quantised import lora_problem_over as lora_problem_over
    from nbgraph.diffusion.quantised import source_problem as source_problem
    from nbgraph.diffusion.reference_limits import needs_images as needs_images
    from nbgraph.diffusion.reference_limits import processor_problem as processor_problem
    from nbgraph.diffusion.reference_limits import reads_images as reads_images
    from nbgraph.diffusion.reference_limits import reference_problem as reference_problem
    from nbgraph.diffusion.reference_limits import vae_problem as vae_problem
    from nbgraph.diffusion.references import References as References
    from nbgraph.diffusion.references import encode_instruction as encode_instruction
    from nbgraph.diffusion.refs import WHOLE as WHOLE
    from nbgraph.diffusion.rows import Tiles as Tiles
    from nbgraph.diffusion.sampling_options import SamplingOptions as SamplingOptions
    from nbgraph.diffusion.schedulers import sampling_problems as sampling_problems
    from nbgraph.diffusion.t2i_adapters import T2iAdapter as T2iAdapter
    from nbgraph.diffusion.textual_inversion import embedding_problem as embedding_problem
    from nbgraph.diffusion.textual_inversion import read_embedding_header as read_embedding_header
    from nbgraph.diffusion.tiled import Tiling as Tiling
    from nbgraph.diffusion.tool_prompt import encode_tool_prompt as encode_tool_prompt
    from nbgraph.diffusion.tool_sampling import ToolSettings as ToolSettings
    from nbgraph.diffusion.tool_sampling import batch_noise as batch_noise
    from nbgraph.diffusion.tool_sampling import sample_as_tool as sample_as_tool
    from nbgraph.diffusion.upscalers import upscale as upscale
    from nbgraph.diffusion.vae import decode_latents as decode_latents
    from nbgraph.diffusion.vae import decode_needs_tiles as decode_needs_tiles
    from nbgraph.diffusion.vae import encode_image as encode_image
    from nbgraph.diffusion.values import Conditioning as Conditioning
    from nbgraph.diffusion.values import Latents as Latents
    from nbgraph.diffusion.values import SizeConditioning as SizeConditioning
    from nbgraph.diffusion.weighted_prompt import encode_weighted_prompt as encode_weighted_prompt
    from nbgraph.diffusion.whole_pipelines import argument_problems as argument_problems
    from nbgraph.diffusion.whole_pipelines import run_whole as run_whole


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nbgraph.diffusion' has no attribute {name!r}")
    return getattr(load_whole(f"nbgraph.diffusion.{_HOMES[name]}", _import_quietly), name)


_one_at_a_time = RLock()
"""Modules of diffusers import each other in circles; two threads that meet in one would see half a module."""


def _import_quietly(name: str) -> ModuleType:
    with _one_at_a_time, import_module("nbgraph.diffusion.quiet").quiet():
        return import_module(name)
