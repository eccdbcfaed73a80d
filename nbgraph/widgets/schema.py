"""Node types as the canvas draws them, read from the classes, so that no node needs a line of TypeScript."""

from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

from pydantic_core import to_jsonable_python

from nbgraph.invocations.fields import ColorField, ImageField
from nbgraph.invocations.inputs import InputSpec
from nbgraph.invocations.node_registry import registry
from nbgraph.invocations.types import assignable, is_optional, plain, type_name
from nbgraph.services.shared.drawing.layout import is_long_text
from nbgraph.services.shared.graph.edges import GraphLike
from nbgraph.services.shared.graph.topology import topological_order
from nbgraph.services.shared.graph.validation import output_types

MODEL_KINDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("model_loader", "model"): ("folder", "checkpoint", "denoiser"),
    ("model_loader", "parts"): ("folder", "checkpoint"),
    ("transformer_loader", "model"): ("denoiser", "checkpoint"),
    ("transformer_loader", "parts"): ("folder", "checkpoint"),
    ("lora_loader", "lora"): ("lora",),
    ("control_lora", "lora"): ("lora",),
    ("vae_loader", "vae_model"): ("vae",),
    ("controlnet", "control_model"): ("controlnet",),
    ("t2i_adapter", "t2i_adapter_model"): ("t2i-adapter",),
    ("ip_adapter", "ip_adapter_model"): ("ip-adapter",),
    ("ip_adapter", "image_encoder"): ("image encoder", "clip"),
    ("textual_inversion", "embedding"): ("embedding",),
    ("upscaler_loader", "upscaler_model"): ("upscaler",),
    ("pipeline_loader", "model"): ("folder",),
    ("depth_estimation", "depth_model"): ("folder",),
    ("segment_labels", "segmentation_model"): ("folder",),
    ("remove_background", "segmentation_model"): ("folder",),
    ("segment_clicks", "sam_model"): ("folder",),
    ("caption", "caption_model"): ("folder",),
    ("metric_model", "model"): ("folder",),
}
"""Inputs that name a model, by (node type, input), and the kinds of files they take, as in `studio.models`."""
LIMITS = {"ge": "min", "gt": "above", "le": "max", "lt": "below", "multiple_of": "step"}
PRIMITIVES: dict[Any, str] = {bool: "bool", int: "int", float: "float"}


def node_types(names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return `{type: {"title", "category", "description", "inputs", "outputs"}}` of all node types, or of some."""
    classes = registry()
    wanted = list(classes) if names is None else [name for name in dict.fromkeys(names) if name in classes]
    return {name: node_type(classes[name]) for name in wanted}


def node_type(cls: Any) -> dict[str, Any]:
    """Return one node type: its texts, and its inputs and outputs in order."""
    return {
        "title": cls.title or cls.type,
        "category": cls.category,
        "description": (cls.__doc__ or "").strip(),
        **({"own": True} if cls.__module__ == "__main__" else {}),
        "inputs": [_input(cls.type, spec) for spec in cls.inputs().values()],
        "outputs": [{"name": name, "type": type_name(annotation)} for name, annotation in cls.outputs().items()],
    }


def type_table(extra: Iterable[Any] = ()) -> dict[str, list[str]]:
    """Return the input types that each output type may be linked to, by the engine's rules.

    The canvas needs them while a person drags an edge, when there is no time to ask the kernel.
    """
    sources: dict[str, Any] = {type_name(annotation): annotation for annotation in extra}
    targets: dict[str, Any] = {}
    for cls in registry().values():
        sources.update({type_name(annotation): annotation for annotation in cls.outputs().values()})
        targets.update({type_name(spec.annotation): spec.annotation for spec in cls.inputs().values()})
    return {
        name: [to for to, wanted in targets.items() if assignable(given, wanted)] for name, given in sources.items()
    }


def varying_types(graph: GraphLike) -> dict[str, dict[str, str]]:
    """Return `{node: {output: type}}` for outputs whose type depends on the inputs."""
    if not any(node.output_types_vary for node in graph.nodes.values()):
        return {}
    parents = {node_id: [link.source for link in graph.links(node_id)] for node_id in graph.nodes}
    found = output_types(graph, topological_order(parents)[0])
    return {node: {name: type_name(given) for name, given in outputs.items()} for node, outputs in found.items()}


def library_types(graph: GraphLike) -> dict[str, Any]:
    """Return `{node id: node type}` for library graphs used as nodes, whose inputs and outputs are their own."""
    return {node_id: node_type(type(node)) for node_id, node in graph.nodes.items() if node.type == "graph"}


def _input(node: str, spec: InputSpec) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": spec.name,
        "type": type_name(spec.annotation),
        "control": _control(node, spec),
        "required": spec.required,
        "optional": spec.optional,
        "many": spec.many,
    }
    if not spec.required:
        # A default may be any object; the canvas shows one that is not JSON as text.
        shown["default"] = to_jsonable_python(spec.default, fallback=str)
    if spec.rare:
        shown["rare"] = True
    if spec.info.title:
        shown["label"] = spec.info.title
    if spec.info.description:
        shown["description"] = spec.info.description
    if kinds := MODEL_KINDS.get((node, spec.name)):
        shown["kinds"] = list(kinds)
    choices = _choices(spec.annotation)
    if choices:
        shown["choices"] = choices
    return shown | _limits(spec)


def _control(node: str, spec: InputSpec) -> str:
    control: Any = spec.extra.get("control")
    if isinstance(control, str):
        return control
    # Names of models come from the studio, which the class does not know.
    if (node, spec.name) in MODEL_KINDS:
        return "model"
    if spec.seed:
        return "seed"
    kind = _bare(spec.annotation)
    # By identity, because bool is a subclass of int.
    for primitive, control in PRIMITIVES.items():
        if kind is primitive:
            return control
    if get_origin(kind) is Literal:
        return "choice"
    if kind is ImageField:
        return "image"
    if kind is ColorField or (kind is str and spec.name in ("color", "colour")):
        return "colour"
    if is_long_text(spec.name, kind):
        return "text"
    if get_origin(kind) is list and get_args(kind)[0] in (int, float, str, bool):
        return "list"
    return "line" if kind is str or getattr(kind, "__name__", "") == "Path" else "none"


def _bare(annotation: Any) -> Any:
    """Return an annotation without `Annotated` and `| None`."""
    kind = plain(annotation)
    if is_optional(kind):
        rest = [member for member in get_args(kind) if member is not type(None)]
        kind = plain(rest[0]) if len(rest) == 1 else kind
    return kind


def _choices(annotation: Any) -> list[Any]:
    kind = _bare(annotation)
    return list(get_args(kind)) if get_origin(kind) is Literal else []


def _limits(spec: InputSpec) -> dict[str, float]:
    found: dict[str, float] = {}
    for mark in spec.info.metadata:
        for name, shown in LIMITS.items():
            value = getattr(mark, name, None)
            if isinstance(value, int | float):
                found[shown] = value
    return found
