"""Imports what a first picture needs, so that it can be loaded before it is asked for; it holds nothing itself.

What only some models need, such as their pipelines and text encoders, is left to the model: of these, only what the
families of Stable Diffusion share is imported.
"""

import transformers

from nbgraph.diffusion import batching, denoising, description, meters, model_cache, preview, prompt, vae
from nbgraph.diffusion.families import family

_MODULES = (batching, denoising, description, meters, model_cache, preview, prompt, vae)
_CLASSES = (family("stable-diffusion"), transformers.CLIPTextModel, transformers.CLIPTokenizer)
