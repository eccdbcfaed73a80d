"""The library graphs that every studio starts with, as JSON values: they name node types, and import no node.

Their ids are constant, so that a studio in a folder stores each of them once.
"""

from nbgraph.invocations.types import JsonObject
from nbgraph.services.shared.graph.library import LibraryGraph

_MODEL = {"type": "model_loader", "model": "emoji"}
_NODES: dict[str, JsonObject] = {
    "model": _MODEL,
    "positive": {"type": "prompt", "text": ""},
    "negative": {"type": "prompt", "text": ""},
    "noise": {"type": "noise"},
    "denoise": {"type": "denoise_latents", "steps": 20, "cfg_scale": 7.5},
    "image": {"type": "l2i"},
}
_EDGES = [
    "model.clip -> positive.clip",
    "model.clip -> negative.clip",
    "model.unet -> noise.unet",
    "model.unet -> denoise.unet",
    "positive.conditioning -> denoise.positive",
    "negative.conditioning -> denoise.negative",
    "noise.noise -> denoise.noise",
    "denoise.latents -> image.latents",
    "model.vae -> image.vae",
]
_INPUTS = {
    "prompt": "positive.text",
    "negative_prompt": "negative.text",
    "width": "noise.width",
    "height": "noise.height",
    "seed": "noise.seed",
    "steps": "denoise.steps",
    "cfg_scale": "denoise.cfg_scale",
    "scheduler": "denoise.scheduler",
    "model": "model.model",
}
_OUTPUTS = {"image": "image.image"}

TEXT_TO_IMAGE = "text to image"
IMAGE_TO_IMAGE = "image to image"
INPAINT = "inpaint"
OUTPAINT = "outpaint"
EDIT = "edit by instruction"
HIRES_FIX = "hires fix"
CONTROLNET = "ControlNet"
UPSCALE = "upscale"


def default_graphs() -> list[LibraryGraph]:
    """Return a new copy of each graph."""
    made = (
        text_to_image, image_to_image, inpaint, outpaint, edit_by_instruction, larger_image, by_control_image, upscale,
    )  # fmt: skip
    return [make() for make in made]


def text_to_image() -> LibraryGraph:
    """Return the graph that makes a picture from a prompt.

    Unless they are given, the model decides width and height, and the seed is drawn at random.
    """
    data = _data("text_to_image", TEXT_TO_IMAGE, "Draws a picture of what a prompt says.", _NODES, _EDGES, _INPUTS)
    return LibraryGraph.from_dict(data)


def image_to_image() -> LibraryGraph:
    """Return the graph that makes a picture from a prompt and another picture, whose size it has."""
    nodes = {**_NODES, "latents": {"type": "i2l"}, "denoise": {**_NODES["denoise"], "denoising_start": 0.4}}
    edges = [
        *_EDGES,
        "model.vae -> latents.vae",
        "latents.latents -> denoise.latents",
        "latents.width -> noise.width",
        "latents.height -> noise.height",
    ]
    inputs = {"image": "latents.image", "denoising_start": "denoise.denoising_start", **_INPUTS}
    del inputs["width"], inputs["height"]
    description = "Draws a picture anew as a prompt says; denoising_start is the share of it that is kept."
    return LibraryGraph.from_dict(_data("image_to_image", IMAGE_TO_IMAGE, description, nodes, edges, inputs))


def inpaint() -> LibraryGraph:
    """Return the graph that paints a region of an image at another size, and changes nothing outside of its mask."""
    nodes = {
        **_NODES,
        "crop": {"type": "crop_to_mask"},
        "latents": {"type": "i2l"},
        "denoise_mask": {"type": "create_denoise_mask"},
        "denoise": {**_NODES["denoise"], "denoising_start": 0.2},
        "decoded": {"type": "l2i", "is_intermediate": True},
        "image": {"type": "paste_region"},
    }
    edges = [edge for edge in _EDGES if "image." not in edge] + [
        "crop.image -> latents.image",
        "model.vae -> latents.vae",
        "noise.width -> crop.width",
        "noise.height -> crop.height",
        "latents.latents -> denoise.latents",
        "crop.mask -> denoise_mask.mask",
        "denoise_mask.denoise_mask -> denoise.denoise_mask",
        "denoise.latents -> decoded.latents",
        "model.vae -> decoded.vae",
        "decoded.image -> image.painted",
        "crop.region -> image.region",
        "source.image -> crop.image",
        "source.image -> image.image",
        "mask.image -> crop.mask",
        "mask.image -> image.mask",
    ]
    nodes |= {"source": {"type": "image"}, "mask": {"type": "image"}}
    inputs = {"image": "source.image", "mask": "mask.image", "denoising_start": "denoise.denoising_start", **_INPUTS}
    inputs |= {"padding": "crop.padding", "feather": "image.feather"}
    description = "Paints within the white of a mask, at the size of width and height; the rest stays as it is."
    return LibraryGraph.from_dict(_data("inpaint", INPAINT, description, nodes, edges, inputs))


def outpaint() -> LibraryGraph:
    """Return the graph that continues an image beyond its frame."""
    nodes = {
        **_NODES,
        "rgba": {"type": "img_conv", "mode": "RGBA", "is_intermediate": True},
        "frame": {"type": "img_crop", "is_intermediate": True},
        "filled": {"type": "infill_smooth", "is_intermediate": True},
        "mask": {"type": "tomask", "invert": True},
        "latents": {"type": "i2l"},
        "denoise_mask": {"type": "create_denoise_mask"},
        "denoise": {**_NODES["denoise"], "denoising_start": 0.1},
        "decoded": {"type": "l2i", "is_intermediate": True},
        "image": {"type": "img_paste"},
    }
    edges = [edge for edge in _EDGES if "image." not in edge] + [
        "rgba.image -> frame.image",
        "frame.image -> filled.image",
        "frame.image -> mask.image",
        "filled.image -> latents.image",
        "model.vae -> latents.vae",
        "noise.width -> frame.width",
        "noise.height -> frame.height",
        "latents.latents -> denoise.latents",
        "mask.image -> denoise_mask.mask",
        "denoise_mask.denoise_mask -> denoise.denoise_mask",
        "denoise.latents -> decoded.latents",
        "model.vae -> decoded.vae",
        "decoded.image -> image.base_image",
        "frame.image -> image.image",
    ]
    inputs = {"image": "rgba.image", "x": "frame.x", "y": "frame.y", **_INPUTS}
    description = (
        "Continues an image beyond its frame: x and y are where the new frame begins, negative to the outside."
    )
    return LibraryGraph.from_dict(_data("outpaint", OUTPAINT, description, nodes, edges, inputs))


def edit_by_instruction() -> LibraryGraph:
    """Return the graph that changes an image as an instruction says, by a model for editing."""
    nodes = {
        "model": {"type": "model_loader"},
        "reference": {"type": "reference"},
        "positive": {"type": "edit_prompt"},
        "noise": {"type": "noise"},
        "denoise": {"type": "denoise_latents"},
        "image": {"type": "l2i"},
    }
    edges = [edge for edge in _EDGES if "negative." not in edge] + [
        "model.vae -> reference.vae",
        "reference.reference -> positive.reference",
        "reference.reference -> denoise.reference",
    ]
    inputs = {
        "image": "reference.image",
        "instruction": "positive.text",
        "width": "noise.width",
        "height": "noise.height",
        "seed": "noise.seed",
        "steps": "denoise.steps",
        "guidance": "denoise.guidance",
        "model": "model.model",
    }
    description = "Changes an image as an instruction says; needs a model for editing, such as FLUX.2."
    return LibraryGraph.from_dict(_data("edit_by_instruction", EDIT, description, nodes, edges, inputs))


def larger_image() -> LibraryGraph:
    """Return the graph that draws an image small, enlarges its latents, and draws detail at the larger size."""
    nodes = {
        **_NODES,
        "enlarged": {"type": "lscale", "scale_factor": 2.0},
        "more_noise": {"type": "noise"},
        "detail": {**_NODES["denoise"], "denoising_start": 0.5},
    }
    edges = [edge for edge in _EDGES if edge != "denoise.latents -> image.latents"] + [
        "denoise.latents -> enlarged.latents",
        "model.vae -> enlarged.vae",
        "model.unet -> more_noise.unet",
        "noise.seed -> more_noise.seed",
        "enlarged.width -> more_noise.width",
        "enlarged.height -> more_noise.height",
        "model.unet -> detail.unet",
        "positive.conditioning -> detail.positive",
        "negative.conditioning -> detail.negative",
        "more_noise.noise -> detail.noise",
        "enlarged.latents -> detail.latents",
        "detail.latents -> image.latents",
    ]
    inputs = {**_INPUTS, "scale_factor": "enlarged.scale_factor", "denoising_start": "detail.denoising_start"}
    description = "Draws an image small, enlarges it, and draws detail at the larger size (hires fix)."
    return LibraryGraph.from_dict(_data("hires_fix", HIRES_FIX, description, nodes, edges, inputs))


def by_control_image() -> LibraryGraph:
    """Return the graph that draws an image from a prompt, guided by a control image."""
    nodes = {**_NODES, "model": {"type": "model_loader"}, "control": {"type": "controlnet"}}
    edges = [*_EDGES, "control.control -> denoise.control"]
    inputs = {
        "image": "control.image",
        "control_model": "control.control_model",
        "control_weight": "control.control_weight",
        **_INPUTS,
    }
    description = "Draws an image of what a prompt says, along the lines of a control image."
    return LibraryGraph.from_dict(_data("controlnet", CONTROLNET, description, nodes, edges, inputs))


def upscale() -> LibraryGraph:
    """Return the graph that enlarges an image by an upscaler: the one that ships, or one from a file."""
    nodes = {
        "upscaler": {"type": "upscaler_loader", "upscaler_model": "emoji_x2.safetensors"},
        "image": {"type": "upscale"},
    }
    edges = ["upscaler.upscaler -> image.upscaler"]
    inputs = {
        "image": "image.image",
        "upscaler": "upscaler.upscaler_model",
        "factor": "image.factor",
        "tile": "image.tile",
    }
    description = "Enlarges an image by an upscaler; the one that ships doubles drawings of the model that ships."
    return LibraryGraph.from_dict(_data("upscale", UPSCALE, description, nodes, edges, inputs))


def _data(
    id: str, name: str, description: str, nodes: JsonObject, edges: list[str], inputs: dict[str, str]
) -> JsonObject:
    return {
        "id": id,
        "name": name,
        "description": description,
        "graph": {
            "id": id,
            "nodes": nodes,
            "edges": [dict(zip(("source", "destination"), map(_end, edge.split(" -> ")))) for edge in edges],
        },
        "inputs": [_exposed(alias, place) for alias, place in inputs.items()],
        "outputs": [_exposed(alias, place) for alias, place in _OUTPUTS.items()],
    }


def _end(place: str) -> dict[str, str]:
    node, field = place.split(".")
    return {"node_id": node, "field": field}


def _exposed(alias: str, place: str) -> dict[str, str]:
    node, field = place.split(".")
    return {"alias": alias, "node": node, "field": field}
