"""What can be done with models of each family. `python -m nbgraph.diffusion.abilities` writes it to docs/models.md."""

import inspect
import sys
from pathlib import Path

from nbgraph.diffusion.assembly import describe_known
from nbgraph.diffusion.controls import FAMILIES as CONTROLLED
from nbgraph.diffusion.defaults import defaults_of
from nbgraph.diffusion.families import Family, family, family_of_class
from nbgraph.diffusion.ip_adapters import FAMILIES as IP_ADAPTED
from nbgraph.diffusion.known_models import known_model
from nbgraph.diffusion.reference_limits import limits_of, reads_images
from nbgraph.diffusion.weighted_prompt import FAMILIES as WEIGHTED
from nbgraph.diffusion.whole_families import moving_reason, text_to_image_families, whole_reason

TESTED = {
    "stable-diffusion": "Stable Diffusion 1.5, 2",
    "stable-diffusion-xl": "Stable Diffusion XL",
    "stable-diffusion-3": "Stable Diffusion 3",
    "flux": "Flux",
    "chroma": "Chroma",
    "qwenimage": "Qwen-Image",
    "z-image": "Z-Image",
    "cogview4": "CogView 4",
    "pixart-alpha": "PixArt-Alpha",
    "pixart-sigma": "PixArt-Sigma",
    "sana": "Sana",
    "auraflow": "AuraFlow",
}
"""The families whose every ability is tried on a tiny model by the tests: key and name."""

ABILITIES = {
    "text_to_image": "text to image",
    "pieces": "in pieces",
    "image_to_image": "image to image",
    "inpaint": "inpaint",
    "controlnet": "ControlNet",
    "t2i_adapter": "T2I-Adapter",
    "ip_adapter": "IP-Adapter",
    "lora": "LoRA",
    "clip_skip": "CLIP skip",
    "weights": "weights in prompts",
    "sizes": "size conditioning",
}
EDITING = {
    "flux-kontext": "FLUX.1 Kontext",
    "flux2": "FLUX.2",
    "flux2-klein": "FLUX.2 klein",
    "qwenimage-edit": "Qwen-Image-Edit",
    "qwenimage-edit-plus": "Qwen-Image-Edit Plus (2509 and later)",
}
"""The families that are shown images beside the text, tried on tiny models by the tests: key and name."""
TRIED_IN_STEPS = (
    "stable-diffusion-pag", "stable-diffusion-xl-pag", "stable-diffusion-3-pag", "pixart-sigma-pag", "sana-pag",
    "krea2", "nucleusmoe-image", "ovis",
)  # fmt: skip
"""Further families that run step by step, of which the tests try text to image alone."""
TRIED_AS_A_WHOLE = (
    "if", "hunyuan", "hunyuan-pag", "kandinsky", "kandinsky22", "kandinsky3", "wuerstchen", "cascade", "flux-control",
    "cogview4-control", "ideogram4", "cogview3", "lumina", "lumina2", "z-image-omni", "prx", "qwenimage21",
    "glm_image",
)  # fmt: skip
"""The families that run as a whole, each compared by the tests with a call of its pipeline."""
REFUSED = ("helios", "helios-pyramid")
"""Families that are in diffusers' table and make no images."""
EDITING_NOTES = """\
Models for editing are shown images by `Reference(image=..., vae=model)`, which is linked to `EditPrompt` and to
`DenoiseLatents`. Pictures equal those of diffusers' pipelines (difference 0), with one image and, where several are
taken, with two; in pieces they equal the whole (tried on Kontext, FLUX.2 and Qwen-Image-Edit Plus), and a mask keeps
what it should (tried on FLUX.2). An empty cell is refused. [Editing](editing.md) has the graphs.
"""
DRAWN = (
    "sd1", "sd1-inpainting", "sd2", "sd2-inpainting", "sdxl", "sdxl-inpainting", "sd3-medium", "sd35-medium",
    "sd35-large", "flux-dev", "flux-schnell", "flux-fill", "qwen-image", "z-image",
)  # fmt: skip
"""Kinds of models that draw by themselves, by the names of their configurations."""
TARGET = Path("docs/models.md")
HEAD = """\
# Models

Made by `python -m nbgraph.diffusion.abilities`; do not edit it by hand. Every cell is tried by the tests on a tiny
model with random weights. `yes`: the nodes one by one give exactly what the pipeline of diffusers gives in one call
(difference 0; a pipeline whose weights need gradients, as they do until `requires_grad_(False)`, may differ by 1e-6 in
latents, as Sana does with a LoRA). `alone`: it works, and diffusers has no pipeline to compare it with. An empty cell
is refused, before a step is done, with a sentence that says why. In every cell a run that was cancelled leaves the next
one as it was.
"""
TAIL = """\
- *in pieces*: steps 0 to 3 and then 3 to 8 are exactly steps 0 to 8, with everything else that the row has: over a
  picture, within a mask (its node is given the latents that are kept), steered, with a LoRA. Image to image and inpaint
  need it; the pipelines of diffusers that cannot be stopped part-way take noise and all their steps.
- *size conditioning*: the original size, the crop and the target size of `SdxlPrompt`.
- *IP-Adapter*: Stable Diffusion 3 takes one adapter with one image, read by a SigLIP; the others take several, and CLIP
  reads their images. Files of Flux may have the names of diffusers or of XLabs.
- Sana: its pipeline puts a long instruction before the positive text unless `complex_human_instruction=None`; here
  texts are encoded as they are written.

## Kinds of files

What a file is, `nbgraph models --inspect FILE` and `studio.models.inspect(path)` say, from its header.

| file | Stable Diffusion 1, 2 | SDXL | SD 3, 3.5 | FLUX.1 dev, schnell | Chroma | Qwen-Image | Z-Image |
|---|---|---|---|---|---|---|---|
| diffusers folder | yes | yes | yes | yes | yes | yes | yes |
| checkpoint of one file | yes | yes | yes | yes | `parts=` | `parts=` | `parts=` |
| transformer or UNet alone | `parts=` | `parts=` | `parts=` | `parts=` | `parts=` | `parts=` | `parts=` |
| VAE alone | `like=` | `like=` | `like=` | `like=` | `like=` | `like=` | `like=` |
| ControlNet alone | yes | yes |  |  |  |  |  |
| text encoders alone | yes | yes | yes | yes |  |  |  |
| GGUF, fp8, scaled fp8 | yes | yes | yes | yes | yes | yes | yes |
| LoRA | yes | yes | yes | yes | yes | yes | yes |
| LoHa, LoKr, DoRA, whole differences | yes | yes | yes | yes | yes | yes | yes |
| textual inversion | yes | yes |  | for its CLIP |  |  |  |
| control LoRA (Canny, Depth) |  |  |  | yes |  |  |  |
| inpainting models, Fill | yes | yes |  | yes |  |  |  |
| refiner, control, edit, depth models | refused | refused |  | refused |  |  |  |
| `precision=`: `fp8`, `int8`, `nf4` | yes | yes | yes | yes | yes | yes | yes |
| folders with a `quantization_config` | yes | yes | yes | yes | yes | yes | yes |
| `offload=`: `none`, `component`, `streaming` | yes | yes | yes | yes | yes | yes | yes |

Drawn with and compared on tiny models: checkpoints of Stable Diffusion 1, 2, XL and 3, transformers alone of FLUX.1,
Chroma, Qwen-Image and Z-Image, the VAE of SDXL, the ControlNet of Stable Diffusion 1, GGUF and fp8 of Z-Image, kin of
LoRA on Stable Diffusion 1, XL and Z-Image; textual inversions and inpainting models on Stable Diffusion 1, XL and Flux,
`fp8` on Stable Diffusion 1 and Flux, `int8` and quantised folders on Stable Diffusion 1 where torchao or optimum-quanto
is installed, every way to offload on Stable Diffusion 1, XL, 3 and Flux. Compared by name and shape, on headers of
full-size files: checkpoints of Stable Diffusion 1, 2, XL, 3, 3.5 and FLUX.1, inpainting and Fill, the transformer of
FLUX.2, text encoders. The other cells are the same code on another family. `nf4`, which diffusers does on a GPU alone,
and every mode on a GPU follow its documentation and are not tried.

- `parts=`: `ModelLoader(model=FILE, parts=MODEL)`, or `TransformerLoader(model=FILE)` beside other loaders. Files of
  other families that diffusers has a converter for take their configuration from `parts` too.
- `like=`: `VaeLoader(vae_model=FILE, like=model)`, as how latents are scaled is not in the file; beside a transformer
  that was loaded alone `VaeLoader(vae_model=FILE, unet=transformer)`.
- GGUF needs the package gguf (`pip install nbgraph[gguf]`). Quantised weights become plain numbers when they are read,
  so they take as much memory as plain ones. nf4, nvfp4, GPTQ, AWQ and Nunchaku files are refused with the package or
  device that they need, and so are folders with a `quantization_config` where that is missing.
- `precision=`: `ModelLoader(model=..., precision="fp8")` keeps the denoiser's weights in 8 bits and casts each layer
  while it computes; `int8` needs torchao or optimum-quanto, `nf4` bitsandbytes and a CUDA device. Pictures change a
  little. No LoRA can be applied to `fp8`, nor to `int8` by quanto.
- `offload=`: `component` moves a part to the device while it is used, `streaming` fetches it block by block, `none`
  leaves it there for good; without it the studio chooses by free memory (`Settings(offload=...)`), with room for what
  computing took before with that model and size. Pictures are equal. A node that runs out of memory of the device is
  run once more: denoisers and text encoders one mode lower, VAEs in tiles.
- Inpainting models: `CreateDenoiseMask(mask=..., image=..., vae=model)`; latents are needed only to keep some of the
  image inside of the mask.
- Textual inversions: `TextualInversion(embedding=FILE, clip=model)`; prompts name it by its token or
  `embedding:token`.
- LoRA: in the namings of kohya, diffusers, PEFT, ComfyUI, ai-toolkit and FLUX.1's authors; OFT, (IA)3, GLoRA, Tucker
  factors, trained norms and biases are refused by name. Embeddings in a LoRA's file are for a `TextualInversion` with
  the same file.
- Control LoRAs: `ControlLora(image=..., lora=FILE)`, linked to `control` of the denoising node. They work at all steps,
  one at a time, beside plain LoRAs; pictures equal those of `FluxControlPipeline` (difference 0).
- Pickles (`.ckpt`, `.pt`, `.bin`) are never loaded; `nbgraph models --convert FILE` writes one that you trust as
  safetensors.
"""
CLASSES = """\
## Every text-to-image class

What becomes of a folder that names one of the classes that the installed diffusers registers for text to image. *Step
by step* is by the nodes of a prompt, noise, denoising and decoding; *as a whole* is by
`WholePipeline(pipeline=PipelineLoader(model=...), prompt=..., arguments={...})`, which runs any pipeline of diffusers
that gives images, with its own parameters. Each row is tried on a tiny model and equals a call of the pipeline
(difference 0); rows marked *text to image* are tried for that alone. HiDream and InstructPix2Pix, which are in no table
of diffusers, are tried as a whole too. Loaders of the steps refuse a folder that is run as a whole, and say so.
"""


def abilities(of: Family) -> frozenset[str]:
    """Return the keys of `ABILITIES` that models of a family have, read from its pipelines."""
    encodes = inspect.signature(of.pipeline().encode_prompt).parameters  # type: ignore[attr-defined]
    able = {
        "text_to_image": True,
        "pieces": of.windows,
        "image_to_image": of.windows,
        "inpaint": of.windows,
        "controlnet": of.key in CONTROLLED,
        "t2i_adapter": of.denoiser == "unet",
        "ip_adapter": of.key in IP_ADAPTED,
        "lora": hasattr(of.pipeline(), "lora_state_dict"),
        "clip_skip": "clip_skip" in encodes,
        "weights": of.key in WEIGHTED,
        "sizes": "original_size" in of.parameters,
    }
    return frozenset(name for name, is_able in able.items() if is_able)


def page() -> str:
    """Return the whole of docs/models.md."""
    rows = [f"| family | {' | '.join(ABILITIES.values())} |", "|---" * (len(ABILITIES) + 1) + "|"]
    for key, title in TESTED.items():
        found = family(key)
        cells = [_cell(found, ability) for ability in ABILITIES]
        rows.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join([HEAD, *rows, "", TAIL, *_defaults(), *_editing(), "", *_classes()])


def _classes() -> list[str]:
    """Return the table of every class that diffusers registers for text to image."""
    rows = [CLASSES, "| family of diffusers | pipeline | here |", "|---|---|---|"]
    for of in text_to_image_families():
        rows.append(f"| {of.key} | {of.pipeline().__name__} | {_run_as(of)} |")
    return [*rows, ""]


def _run_as(of: Family) -> str:
    same = family_of_class(of.pipeline().__name__)
    if same.key != of.key:
        return f"as {same.key}"
    if of.key in REFUSED:
        return f"refused: {moving_reason(of.pipeline())}"
    if reason := whole_reason(of):
        return f"as a whole{'' if of.key in TRIED_AS_A_WHOLE else ', not tried'}: {reason}"
    if of.key in TRIED_IN_STEPS:
        return "step by step, text to image"
    return "step by step" if of.key in (*TESTED, *EDITING) else "step by step, not tried"


def _defaults() -> list[str]:
    """Return the table of sizes, steps and guidance that a graph leaves out, for kinds of models that ship."""
    rows = [
        "## Where a graph says nothing",
        "",
        "Size in pixels, steps and guidance that a model is given where they are left out:",
        "",
        "| kind of model | size | steps | guidance | distilled guidance |",
        "|---|---|---|---|---|",
    ]
    for name in DRAWN:
        model = describe_known(Path(name), known_model(name))
        own = defaults_of(model)
        takes_guidance = model.need_family().key == "flux" and model.config("transformer").get("guidance_embeds")
        distilled = f"{own.guidance or 3.5:g}" if takes_guidance else ""
        rows.append(f"| `{name}` | {model.width}x{model.height} | {own.steps} | {own.cfg:g} | {distilled} |")
    return [*rows, ""]


def _editing() -> list[str]:
    """Return the table of models for editing, which take images."""
    rows = [
        "## Models for editing",
        "",
        "| model for editing | images | text alone | instruction |",
        "|---|---|---|---|",
    ]
    for key, title in EDITING.items():
        limits, read = limits_of(family(key)), reads_images(family(key))
        assert limits is not None
        images = "one" if limits.most == 1 else "several"
        alone = "" if limits.least else "yes"
        rows.append(f"| {title} | {images} | {alone} | {'with the images' if read else 'by the text alone'} |")
    return [*rows, "", *EDITING_NOTES.splitlines()]


def _cell(of: Family, ability: str) -> str:
    if ability not in abilities(of):
        return ""
    compared = ability not in ("image_to_image", "inpaint") or ability in dict(of.pipelines)
    return "yes" if compared else "alone"


def main() -> None:
    """Write the page, to the path given as an argument or to docs/models.md."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(page(), encoding="utf-8")
    print(f"wrote {target}: {len(TESTED)} families")  # noqa: T201


if __name__ == "__main__":
    main()
