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


def default_graphs() -> list[LibraryGraph]:
    """Return a new copy of each graph."""
    return [text_to_image(), image_to_image()]


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
