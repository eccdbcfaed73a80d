"""ComfyUI's two formats as one: nodes by id, each with named inputs that are values or links.

The API format has them so. The editor's has links apart and the values of widgets by place, subgraphs, muted and
bypassed nodes, and nodes that only pass on; all of that is resolved here.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nbgraph.errors import RecipeError
from nbgraph.recipes.json_values import is_list, is_object

MAX_NODES = 20_000
MAX_DEPTH = 16
MUTED, BYPASSED = 2, 4
PASSING = ("Reroute", "Note", "MarkdownNote", "PrimitiveNode", "SetNode", "GetNode")
SUBGRAPH_INPUT, SUBGRAPH_OUTPUT = "-10", "-20"
SEEDS = ("seed", "noise_seed")
CONTROLS = ("fixed", "increment", "decrement", "randomize")
WIDGETS: dict[str, tuple[str, ...]] = {
    "CheckpointLoaderSimple": ("ckpt_name",),
    "CLIPTextEncode": ("text",),
    "KSampler": ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        "add_noise", "noise_seed", "steps", "cfg", "sampler_name", "scheduler", "start_at_step", "end_at_step",
        "return_with_leftover_noise",
    ),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "VAEEncodeForInpaint": ("grow_mask_by",),
    "SaveImage": ("filename_prefix",),
    "LoadImage": ("image", "upload"),
    "ImageScale": ("upscale_method", "width", "height", "crop"),
    "LatentUpscale": ("upscale_method", "width", "height", "crop"),
    "LatentUpscaleBy": ("upscale_method", "scale_by"),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "VAELoader": ("vae_name",),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "ControlNetLoader": ("control_net_name",),
    "ControlNetApply": ("strength",),
    "ControlNetApplyAdvanced": ("strength", "start_percent", "end_percent"),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "CLIPLoader": ("clip_name", "type", "device"),
    "DualCLIPLoader": ("clip_name1", "clip_name2", "type", "device"),
    "TripleCLIPLoader": ("clip_name1", "clip_name2", "clip_name3"),
    "RandomNoise": ("noise_seed",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "KSamplerSelect": ("sampler_name",),
    "CFGGuider": ("cfg",),
    "FluxGuidance": ("guidance",),
    "ModelSamplingFlux": ("max_shift", "base_shift", "width", "height"),
    "ModelSamplingAuraFlow": ("shift",),
    "ModelSamplingSD3": ("shift",),
}  # fmt: skip
"""The widgets of node types in their order; after a seed there is one more, which says what becomes of it next."""


class Link(NamedTuple):
    """An output of a node, by its number."""

    node: str
    slot: int


@dataclass
class ComfyNode:
    """A node: its type, and what each input holds, by name."""

    id: str
    type: str
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    title: str = ""


Nodes = dict[str, ComfyNode]
Promoted = dict[tuple[str, str], Any]
"""Values of widgets by the id of their node and their name."""


def is_api(data: Any) -> bool:
    """Return whether values are of the API format: objects with class_type and inputs."""
    found = [each for each in data.values() if is_object(each)] if is_object(data) else []
    return bool(found) and any(isinstance(each.get("class_type"), str) and "inputs" in each for each in found)


def is_workflow(data: Any) -> bool:
    """Return whether values are of the editor's format: a list of nodes, and links."""
    return is_object(data) and is_list(data.get("nodes")) and is_list(data.get("links"))


def read_api(data: dict[str, Any]) -> Nodes:
    """Return the nodes of the API format; what is no node is passed over."""
    if len(data) > MAX_NODES:
        raise RecipeError(f"the workflow has more than {MAX_NODES:,} nodes")
    nodes: Nodes = {}
    for node_id, values in data.items():
        if not is_object(values) or not isinstance(values.get("class_type"), str):
            continue
        given = values.get("inputs")
        inputs = {name: _value(value) for name, value in given.items()} if is_object(given) else {}
        meta = values.get("_meta")
        title = meta.get("title", "") if is_object(meta) else ""
        nodes[node_id] = ComfyNode(node_id, values["class_type"], inputs, str(title)[:100])
    return nodes


def _value(value: Any) -> Any:
    if is_list(value) and len(value) == 2 and isinstance(value[0], str | int) and type(value[1]) is int:
        return Link(str(value[0]), value[1])
    return value["__value__"] if is_object(value) and set(value) == {"__value__"} else value


def read_workflow(data: dict[str, Any]) -> Nodes:
    """Return the nodes of the editor's format, with subgraphs put in place, and without those that do nothing."""
    definitions = data.get("definitions")
    listed: list[Any] = definitions.get("subgraphs", []) if is_object(definitions) else []
    subgraphs = {str(each["id"]): each for each in listed if is_object(each) and "id" in each}
    reader = _Reader(subgraphs)
    reader.read(data, "", {}, 0)
    return reader.resolved()


class _Reader:
    def __init__(self, subgraphs: dict[str, Any]) -> None:
        self.subgraphs = subgraphs
        self.nodes: Nodes = {}
        self.passing: dict[Link, Any] = {}  # what an output of a node that is left out stands for

    def read(
        self, data: dict[str, Any], prefix: str, given: dict[int, Any], depth: int, promoted: Promoted | None = None
    ) -> dict[int, Any]:
        """Read one level; `given` is what arrives at its inputs. Returns what leaves it, by number.

        `promoted` are values of widgets that the node of a subgraph shows, which count more than those inside it.
        """
        if depth > MAX_DEPTH:
            raise RecipeError(f"subgraphs are nested more than {MAX_DEPTH} deep")
        links = {link.id: link for link in map(_link, data.get("links") or ()) if link is not None}
        listed = [node for node in data.get("nodes") or () if is_object(node) and "type" in node]
        if len(self.nodes) + len(listed) > MAX_NODES:
            raise RecipeError(f"the workflow has more than {MAX_NODES:,} nodes")
        setters = {str(_first(node)): node for node in listed if node["type"] == "SetNode"}

        def source(link_id: Any) -> Any:
            link = links.get(str(link_id))
            if link is None:
                return None
            return given.get(link.slot) if link.source == SUBGRAPH_INPUT else Link(prefix + link.source, link.slot)

        for node in listed:
            self._read_node(node, prefix, source, setters, depth, promoted or {})
        return {link.target_slot: source(link.id) for link in links.values() if link.target == SUBGRAPH_OUTPUT}

    def _read_node(
        self, node: dict[str, Any], prefix: str, source: Any, setters: dict[Any, Any], depth: int, promoted: Promoted
    ) -> None:
        node_id, kind = prefix + str(node.get("id")), str(node["type"])
        slots = [slot for slot in node.get("inputs") or () if is_object(slot)]
        linked = {str(slot.get("name")): found for slot in slots if (found := source(slot.get("link"))) is not None}
        outputs = [slot for slot in node.get("outputs") or () if is_object(slot)]
        if node.get("mode") == MUTED:
            return
        if node.get("mode") == BYPASSED:
            self._bypass(node_id, slots, outputs, source)
        elif kind in PASSING:
            value = next(iter(linked.values()), None)
            if kind == "PrimitiveNode":
                value = _first(node)
            elif kind == "GetNode" and (setter := setters.get(str(_first(node)))):
                value = Link(prefix + str(setter.get("id")), 0)
            self.passing[Link(node_id, 0)] = value
        elif kind in self.subgraphs:
            inner = self.subgraphs[kind]
            names = [str(each.get("name")) for each in inner.get("inputs") or () if is_object(each)]
            widgets, inside = _promoted(node, names)
            arriving = {number: linked.get(name, widgets.get(name)) for number, name in enumerate(names)}
            leaving = self.read(inner, f"{node_id}:", arriving, depth + 1, inside)
            self.passing.update({Link(node_id, slot): value for slot, value in leaving.items()})
        else:
            values = _widget_values(node, WIDGETS.get(kind, ()))
            shown = {name: value for (owner, name), value in promoted.items() if owner == str(node.get("id"))}
            values |= {name: value for name, value in shown.items() if name in values and value is not None}
            self.nodes[node_id] = ComfyNode(node_id, kind, {**values, **linked}, str(node.get("title") or "")[:100])

    def _bypass(self, node_id: str, slots: list[Any], outputs: list[Any], source: Any) -> None:
        """Give each output of a bypassed node the input of its own type, the one of the same number first."""
        for number, output in enumerate(outputs):
            fitting = [
                slot for slot in slots if slot.get("type") == output.get("type") and slot.get("link") is not None
            ]
            same = slots[number : number + 1]
            chosen = same[0] if same and same[0] in fitting else next(iter(fitting), None)
            self.passing[Link(node_id, number)] = source(chosen["link"]) if chosen else None

    def resolved(self) -> Nodes:
        for node in self.nodes.values():
            node.inputs = {name: self._final(value) for name, value in node.inputs.items()}
            node.inputs = {name: value for name, value in node.inputs.items() if value is not None}
        return self.nodes

    def _final(self, value: Any) -> Any:
        """What an input holds in the end. A link to what is muted, or not there, stays: its reader says so."""
        asked, seen = value, set[Link]()
        while isinstance(value, Link) and value not in seen:
            if value not in self.passing:
                return value
            seen.add(value)
            value = self.passing[value]
        return value if value is not None else asked


class _LinkRow(NamedTuple):
    id: str
    source: str
    slot: int
    target: str
    target_slot: int


def _link(row: Any) -> _LinkRow | None:
    try:
        if is_object(row):
            return _LinkRow(
                str(row["id"]),
                str(row["origin_id"]),
                int(row["origin_slot"]),
                str(row["target_id"]),
                int(row["target_slot"]),
            )
        return _LinkRow(str(row[0]), str(row[1]), int(row[2]), str(row[3]), int(row[4]))
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _first(node: dict[str, Any]) -> Any:
    values = node.get("widgets_values")
    return values[0] if is_list(values) and values else None


def _promoted(node: dict[str, Any], names: list[str]) -> tuple[dict[str, Any], Promoted]:
    """(values by input, values by widget inside it) that the node of a subgraph shows.

    `proxyWidgets` says to which each one belongs, -1 being the node itself; without it they are those of the inputs
    that have a widget, in their order.
    """
    properties, values = node.get("properties"), node.get("widgets_values")
    proxies = properties.get("proxyWidgets") if is_object(properties) else None
    if not is_list(proxies) or not proxies:
        slots = [slot for slot in node.get("inputs") or () if is_object(slot) and "widget" in slot]
        return _widget_values(node, [str(slot.get("name")) for slot in slots] or names), {}
    found = {
        (str(row[0]), str(row[1])): value
        for row, value in zip(proxies, values if is_list(values) else [])
        if is_list(row) and len(row) >= 2
    }
    return {name: value for (owner, name), value in found.items() if owner == "-1"}, found


def _widget_values(node: dict[str, Any], names: Any) -> dict[str, Any]:
    """The values of a node's widgets by name: given so, or by place, with one more after each seed."""
    values = node.get("widgets_values")
    if is_object(values):
        return dict(values)
    if not is_list(values):
        return {}
    found: dict[str, Any] = {}
    place = 0
    for name in names:
        if place >= len(values):
            break
        found[name] = values[place]
        place += 1
        if name in SEEDS and place < len(values) and values[place] in CONTROLS:
            place += 1
    # what is beyond the names that are known must not be lost either
    return found | {f"widget {number + 1}": value for number, value in enumerate(values) if number >= place}
