"""Networks that score images: CLIP with a text, an aesthetic predictor over CLIP, and LPIPS between two images.

They run on the CPU, so that they take no memory of the device from models that generate, and the two used last are
kept. Weights are read from safetensors only.

Sources: CLIP score, J. Hessel and others, CLIPScore, 2021, here 100 times the cosine, as torchmetrics gives it;
aesthetic predictor, C. Schuhmann, improved-aesthetic-predictor, 2022; LPIPS, R. Zhang and others, The unreasonable
effectiveness of deep features as a perceptual metric, 2018, with AlexNet.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor
from torch.nn.functional import conv2d, linear, max_pool2d, normalize

from nbgraph.diffusion.quiet import quiet
from nbgraph.errors import ModelError
from nbgraph.loading import load

LAYERS = (("slice1.0", 4, 2), ("slice2.3", 1, 2), ("slice3.6", 1, 1), ("slice4.8", 1, 1), ("slice5.10", 1, 1))
"""Of AlexNet: the name of a convolution in LPIPS' weights, its stride and its padding."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class ClipModel:
    """A CLIP of transformers with its tokenizer and its image processor, from a folder."""

    def __init__(self, folder: str) -> None:
        transformers: Any = load("transformers")  # its types are open
        given: dict[str, Any] = {"local_files_only": True}
        try:
            with quiet():
                self.model = transformers.CLIPModel.from_pretrained(folder, use_safetensors=True, **given).eval()
                self.images = transformers.CLIPImageProcessor.from_pretrained(folder, **given)
                self.tokens = transformers.CLIPTokenizer.from_pretrained(folder, **given)
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise ModelError(
                f"{folder!r} is not read as a CLIP model: {reason}; it is a folder with config.json, model.safetensors,"
                " preprocessor_config.json and a tokenizer, as transformers' CLIPModel has it"
            ) from None

    def image_embedding(self, picture: Image.Image) -> Tensor:
        """Return the embedding of an RGB image (1, width) of length 1."""
        pixels = self.images(images=picture, return_tensors="pt").pixel_values
        return normalize(_pooled(self.model.get_image_features(pixel_values=pixels)), dim=-1)

    def text_embedding(self, text: str) -> tuple[Tensor, bool]:
        """Return the embedding of a text (1, width) of length 1, and whether the text was too long and was cut."""
        whole = self.tokens(text).input_ids
        most = self.model.config.text_config.max_position_embeddings
        inputs = self.tokens([text], padding=True, truncation=True, max_length=most, return_tensors="pt")
        return normalize(_pooled(self.model.get_text_features(**inputs)), dim=-1), len(whole) > most


def _pooled(features: Any) -> Tensor:
    """Return the embeddings: releases of transformers give them as they are, or as the output of a pooler."""
    return features if isinstance(features, Tensor) else features.pooler_output


@lru_cache(maxsize=2)
def _clip(folder: str, fingerprint: str) -> ClipModel:
    return ClipModel(folder)


@lru_cache(maxsize=2)
def _weights(path: str, fingerprint: str) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, or of the only one of a folder, in float32."""
    given = Path(path)
    files = sorted(given.glob("*.safetensors")) if given.is_dir() else [given]
    if len(files) != 1 or files[0].suffix != ".safetensors":
        found = ", ".join(file.name for file in files) or "none"
        raise ModelError(
            f"{path!r}: weights of a metric are one .safetensors file, or a folder with one (found: {found}); "
            "`nbgraph models --convert FILE` writes one from a pickle"
        )
    return {name: tensor.float() for name, tensor in load_file(files[0]).items()}


@torch.inference_mode()
def clip_score(picture: Image.Image, text: str, model: tuple[str, str]) -> tuple[float, bool]:
    """Return 100 times the cosine of the embeddings of an RGB image and a text, and whether the text was cut.

    Parameters
    ----------
    picture, text
        What is compared.
    model
        The folder of the CLIP model, and its fingerprint.

    Raises
    ------
    ModelError
        The folder holds no CLIP model.
    """
    clip = _clip(*model)
    embedding, is_cut = clip.text_embedding(text)
    return 100 * float((clip.image_embedding(picture) * embedding).sum()), is_cut


@torch.inference_mode()
def aesthetic_score(picture: Image.Image, model: tuple[str, str], head: tuple[str, str]) -> float:
    """Return the score that a predictor gives the CLIP embedding of an RGB image, about 1 to 10.

    Parameters
    ----------
    picture
        The image.
    model
        The folder of the CLIP model that the predictor was trained on, and its fingerprint.
    head
        The weights of the predictor: linear layers, one after the other, the last of one value; and their fingerprint.

    Raises
    ------
    ModelError
        The folder holds no CLIP model, or the layers do not fit it or each other.
    """
    values = _clip(*model).image_embedding(picture)
    weights = _weights(*head)
    layers = [name.removesuffix("weight") for name in weights if name.endswith("weight")]
    for layer in sorted(layers, key=_number):
        weight, bias = weights[f"{layer}weight"], weights.get(f"{layer}bias")
        if weight.ndim != 2 or weight.shape[1] != values.shape[-1]:
            raise ModelError(
                f"the layer {layer.rstrip('.') or 'weight'!r} of {head[0]!r} takes {weight.shape[-1]} values, and gets"
                f" {values.shape[-1]}; it was trained on another CLIP model, or is no aesthetic predictor"
            )
        values = linear(values, weight, bias)
    if not layers or values.shape[-1] != 1:
        raise ModelError(f"{head[0]!r} ends in {values.shape[-1]} values; an aesthetic predictor ends in one score")
    return float(values)


def _number(layer: str) -> list[int]:
    """Return the numbers in the name of a layer: 10 comes after 2."""
    return [int(part) for part in layer.split(".") if part.isdigit()]


@torch.inference_mode()
def lpips(first: Image.Image, second: Image.Image, weights: tuple[str, str]) -> float:
    """Return the LPIPS distance (AlexNet) of two RGB images of one size, of at least 32 x 32 pixels: 0 for equal ones.

    Parameters
    ----------
    first, second
        The images.
    weights
        A file or folder with the weights of LPIPS' own package (`net.slice1.0.weight`, `lin0.model.1.weight` ...), as
        safetensors, and its fingerprint.

    Raises
    ------
    ModelError
        They are not such weights.
    """
    tensors = _weights(*weights)
    wanted = [f"net.{name}.{kind}" for name, _, _ in LAYERS for kind in ("weight", "bias")]
    wanted += [f"lin{number}.model.1.weight" for number in range(len(LAYERS))]
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise ModelError(f"{weights[0]!r} does not hold the weights of LPIPS with AlexNet: there is no {missing[0]!r}")
    total = torch.zeros(())
    for number, (one, other) in enumerate(zip(_features(first, tensors), _features(second, tensors))):
        apart = (_unit(one) - _unit(other)) ** 2
        total = total + conv2d(apart, tensors[f"lin{number}.model.1.weight"]).mean()
    return float(total)


def _features(picture: Image.Image, tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """Return what each convolution of AlexNet gives, after its rectifier."""
    raw = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    pixels = raw.view(1, picture.height, picture.width, 3).permute(0, 3, 1, 2).float() / 127.5 - 1
    shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (SHIFT, SCALE))
    values = (pixels - shift) / scale
    found: list[Tensor] = []
    for number, (name, stride, padding) in enumerate(LAYERS):
        values = max_pool2d(values, 3, 2) if number in (1, 2) else values
        weight, bias = tensors[f"net.{name}.weight"], tensors[f"net.{name}.bias"]
        values = conv2d(values, weight, bias, stride, padding).relu()
        found.append(values)
    return found


def _unit(values: Tensor) -> Tensor:
    """Return features whose channels have the length 1 at each place."""
    return values / (values.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)
