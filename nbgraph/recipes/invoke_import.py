"""InvokeAI's graphs and workflows: its nodes by our names, each input as far as ours has it."""

from typing import Any

from nbgraph.errors import GraphError
from nbgraph.invocations.node_registry import registry
from nbgraph.recipes.graph_builder import GraphBuilder, Out, edge, problems_of
from nbgraph.recipes.json_values import is_object
from nbgraph.recipes.opened import Report
from nbgraph.recipes.settings_json import model_name
from nbgraph.recipes.shelf import Shelf
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.texts import value_text

ALIASES = {
    "main_model_loader": "model_loader",
    "sdxl_model_loader": "model_loader",
    "flux_model_loader": "model_loader",
    "sd3_model_loader": "model_loader",
    "cogview4_model_loader": "model_loader",
    "sdxl_compel_prompt": "sdxl_prompt",
    "flux_text_encoder": "prompt",
    "sd3_text_encoder": "prompt",
    "cogview4_text_encoder": "prompt",
    "flux_vae_decode": "l2i",
    "sd3_l2i": "l2i",
    "cogview4_l2i": "l2i",
    "sdxl_lora_loader": "lora_loader",
}
"""Its types that have another name here; the others have the same one."""
DENOISERS = ("flux_denoise", "sd3_denoise", "cogview4_denoise")
"""Types that draw noise and denoise in one; here they are two nodes."""
OF_NOISE = ("seed", "width", "height")
FLOW_SCHEDULERS = {"euler": "flow_euler", "heun": "flow_heun"}
OUTPUTS = {"transformer": "unet", "clip_l": "clip"}
"""Outputs of loaders that have another name here."""
TOGETHER = ("t5_encoder", "clip_g", "max_seq_len", "glm_encoder")
"""Links that carry what comes with the text encoders here."""
FIELDS = {
    "compel": {"prompt": "text"},
    "sdxl_prompt": {"prompt": "text", "clip": "clip"},
    "prompt": {"prompt": "text"},
    "denoise_latents": {"positive_conditioning": "positive", "negative_conditioning": "negative"},
    "flux_text_encoder": {"prompt": "text", "clip": "clip"},
    "sd3_text_encoder": {"prompt": "text", "clip_l": "clip"},
    "cogview4_text_encoder": {"prompt": "text", "glm_encoder": "clip"},
    **dict.fromkeys(
        DENOISERS,
        {
            "transformer": "unet",
            "num_steps": "steps",
            "positive_text_conditioning": "positive",
            "negative_text_conditioning": "negative",
            "positive_conditioning": "positive",
            "negative_conditioning": "negative",
        },
    ),
}
"""Inputs that have another name here, by the type there, or by the type here."""
LEFT_OUT = ("id", "type", "is_intermediate", "use_cache", "board", "metadata")


def import_invoke(data: dict[str, Any], shelf: Shelf, report: Report) -> Graph:
    """Return the graph of InvokeAI's executable form: nodes by id, edges with source and destination."""
    builder = GraphBuilder(report)
    names: dict[str, str] = {}
    nodes = {str(key): node for key, node in data["nodes"].items() if is_object(node)}
    linked = {
        (str(each["destination"]["node_id"]), str(each["destination"]["field"]))
        for each in data.get("edges", ())
        if _is_edge(each)
    }
    for node_id, node in nodes.items():
        names[node_id] = _add(builder, node_id, node, {field for owner, field in linked if owner == node_id}, shelf)
    for each in data.get("edges", ()):
        if not _is_edge(each):
            report.missing(f"edge {value_text(each, 60)}", "it has no source or no destination")
            continue
        source, target = str(each["source"]["node_id"]), str(each["destination"]["node_id"])
        if source not in names or target not in names:
            report.missing(f"edge {source[:40]} -> {target[:40]}", "one of its nodes is not there")
            continue
        foreign, given = str(nodes[target].get("type")), str(each["destination"]["field"])
        field, output = _field(foreign, given), str(each["source"]["field"])
        if given in TOGETHER and field == given:
            continue
        loads = names[source] in builder.nodes and builder.nodes[names[source]]["type"] == "model_loader"
        named = "clip" if loads and output in TOGETHER else OUTPUTS.get(output, output)
        out = Out(names[source], named if loads else output)
        if names[target] in builder.nodes and not _takes(builder, names[target], field):
            report.differs(f"edge {source} -> {target}.{field}", "the node here has no such input")
        elif names[source] in builder.nodes and not _gives(builder, out):
            report.differs(f"edge {source}.{out.field} -> {target}", "the node here has no such output")
        else:
            builder.edges.append(edge(out, names[target], field))
    _fill(builder)
    report.differs("noise", "InvokeAI's noise and start are those of diffusers; the scheduler's options may differ")
    return builder.graph()


def _fill(builder: GraphBuilder) -> None:
    """Link what our nodes need and InvokeAI's do not have: the model that noise is for, the VAE of resized latents."""
    fed = {each["source"]["node_id"]: each["destination"]["node_id"] for each in builder.edges}
    linked = {(each["destination"]["node_id"], each["destination"]["field"]): each["source"] for each in builder.edges}
    loader = next((name for name, values in builder.nodes.items() if values["type"] == "model_loader"), None)
    for name, values in builder.nodes.items():
        field = {"noise": "unet", "lresize": "vae", "lscale": "vae"}.get(values["type"])
        if field is None or (name, field) in linked or loader is None:
            continue
        source = linked.get((fed.get(name, ""), field), {"node_id": loader, "field": field})
        builder.edges.append(edge(Out(source["node_id"], source["field"]), name, field))


def from_workflow(data: dict[str, Any]) -> dict[str, Any]:
    """Return the executable form of an editor's workflow: its notes are left out, its connectors passed by."""
    nodes: dict[str, dict[str, Any]] = {}
    passing: dict[str, tuple[str, str]] = {}
    listed = [node for node in data["nodes"] if is_object(node)]
    edges = [each for each in data.get("edges", ()) if is_object(each) and each.get("type") != "collapsed"]
    kinds = {str(node.get("id")): node.get("type") for node in listed}
    for each in edges:
        if kinds.get(str(each.get("target"))) == "connector":
            passing[str(each["target"])] = str(each.get("source")), str(each.get("sourceHandle"))
    for node in listed:
        inner = node.get("data")
        if node.get("type") != "invocation" or not is_object(inner):
            continue
        given = inner.get("inputs")
        inputs: dict[str, Any] = given if is_object(given) else {}
        values = {name: each.get("value") for name, each in inputs.items() if is_object(each)}
        node_id = str(inner.get("id") or node.get("id"))
        nodes[node_id] = {"id": node_id, "type": str(inner.get("type")), **values}
    made: list[dict[str, Any]] = []
    for each in edges:
        source = str(each.get("source")), str(each.get("sourceHandle"))
        for _ in range(len(passing)):
            source = passing.get(source[0], source)
        if kinds.get(str(each.get("target"))) != "connector":
            target = {"node_id": str(each.get("target")), "field": str(each.get("targetHandle"))}
            made.append({"source": {"node_id": source[0], "field": source[1]}, "destination": target})
    return {"nodes": nodes, "edges": made}


def _add(builder: GraphBuilder, node_id: str, node: dict[str, Any], linked: set[str], shelf: Shelf) -> str:
    """Add a node, or a placeholder where there is none of its type or its values do not fit."""
    foreign = str(node.get("type"))
    if foreign in DENOISERS:
        return _add_denoiser(builder, node_id, node, linked)
    type_name = ALIASES.get(foreign, foreign)
    classes = registry()
    plain = {name: value for name, value in node.items() if name not in LEFT_OUT and name not in linked}
    if type_name not in classes:
        return builder.add_unknown(node_id, foreign, {"inputs": plain}, "nothing here corresponds to this type")
    specs = classes[type_name].inputs()
    inputs: dict[str, Any] = {}
    for name, value in plain.items():
        ours = _field(foreign, name)
        if value is None:
            continue
        if ours in ("model", "vae_model", "control_model", "lora") and ours in specs:
            named = model_name(value)
            inputs[ours] = shelf.lora(named, builder.report) if ours == "lora" else shelf.model(named, builder.report)
        elif ours in specs:
            inputs[ours] = value
        else:
            builder.report.differs(f"{node_id}.{name} ({foreign})", "the node here has no such input")
    try:
        classes[type_name](**inputs)
    except GraphError as error:
        return builder.add_unknown(node_id, foreign, {"inputs": plain}, f"its values do not fit: {problems_of(error)}")
    builder.report.exact(f"node {node_id[:40]} ({foreign})")
    return builder.add(type_name, type_name, **inputs)


def _add_denoiser(builder: GraphBuilder, node_id: str, node: dict[str, Any], linked: set[str]) -> str:
    """Add the noise and the denoising of a type that does both; the edges lead to the second."""
    foreign = str(node.get("type"))
    plain = {name: value for name, value in node.items() if name not in (*LEFT_OUT, *linked) and value is not None}
    own = {name: plain.pop(name) for name in OF_NOISE if name in plain}
    scheduler = str(plain.pop("scheduler", "euler"))
    inputs: dict[str, Any] = {"scheduler": FLOW_SCHEDULERS.get(scheduler, "default")}
    specs = registry()["denoise_latents"].inputs()
    for name, value in plain.items():
        if (ours := _field(foreign, name)) in specs:
            inputs[ours] = value
        elif name != "add_noise" or value is not True:
            builder.report.differs(f"{node_id}.{name} ({foreign})", "the node here has no such input")
    for name in set(OF_NOISE) & linked:
        builder.report.differs(f"{node_id}.{name} ({foreign})", "it is linked there, and drawn or the model's own here")
    try:
        registry()["denoise_latents"](**inputs)
        registry()["noise"](**own)
    except GraphError as error:
        kept = {"inputs": {**plain, **own}}
        return builder.add_unknown(node_id, foreign, kept, f"its values do not fit: {problems_of(error)}")
    if scheduler not in FLOW_SCHEDULERS:
        builder.report.differs(f"scheduler {scheduler}", "it has no equivalent here; the model's own is taken")
    builder.report.exact(f"node {node_id[:40]} ({foreign})")
    noise = builder.add("noise", "noise", **own)
    return builder.add("denoise_latents", "denoise_latents", noise=Out(noise, "noise"), **inputs)


def _field(foreign: str, name: str) -> str:
    known = FIELDS.get(foreign) or FIELDS.get(ALIASES.get(foreign, foreign), {})
    return known.get(name, name)


def _takes(builder: GraphBuilder, node_id: str, field: str) -> bool:
    return field in registry()[builder.nodes[node_id]["type"]].inputs()


def _gives(builder: GraphBuilder, out: Out) -> bool:
    return out.field in registry()[builder.nodes[out.node]["type"]].outputs()


def _is_edge(each: Any) -> bool:
    try:
        return all(
            isinstance(each[end][name], str) for end in ("source", "destination") for name in ("node_id", "field")
        )
    except (TypeError, KeyError):
        return False
