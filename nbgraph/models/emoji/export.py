"""Write a trained model as a plain diffusers folder: half-precision safetensors under their default names."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from .checkpoint import read_tensors
from .denoiser import Denoiser, build_scheduler
from .nets import Autoencoder, Pipeline, WordTokenizer, load_autoencoder, new_pipeline


def assemble(work: Path, tokenizer: WordTokenizer, vae: Autoencoder, dtype: torch.dtype) -> Pipeline:
    """Return the model with the running average of the denoiser's weights in the work folder."""
    weights = read_tensors(work / "denoiser.safetensors")
    prefix = "average/module."
    model = Denoiser(tokenizer)
    model.load_state_dict({key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)})
    return new_pipeline(
        vae=vae.to(dtype),
        text_encoder=cast(Any, model.text_encoder).to(dtype),
        tokenizer=tokenizer,
        unet=cast(Any, model.unet).to(dtype),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def export(work: Path, out: Path, tokenizer: WordTokenizer) -> None:
    """Write what the work folder holds below `out`."""
    vae = load_autoencoder(work / "enlarged", torch.float16)
    assemble(work, tokenizer, vae, torch.float16).save_pretrained(out)
    with edited_json(out / "model_index.json") as index:
        index["tokenizer"] = ["transformers", "PreTrainedTokenizerFast"]  # a name every release of transformers knows
    with edited_json(out / "vae" / "config.json") as config:
        del config["block_out_channels"]  # the autoencoder sets it itself and warns where a file holds it
        config.pop("_name_or_path", None)


@contextmanager
def edited_json(path: Path) -> Generator[dict[str, Any]]:
    """Hand out the object of a JSON file, and write it back afterwards."""
    content = json.loads(path.read_text())
    yield content
    path.write_text(json.dumps(content, indent=2) + "\n")
