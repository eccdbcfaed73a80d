"""What is known of how a picture came about: its metadata, and the values of the graph that made it."""

import json
from typing import Any

from nbgraph.errors import NbgraphError
from nbgraph.services.images.images_common import ImageRecord
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.graph import Graph

MAX_VALUES, MAX_TEXT, MAX_LABEL, MAX_METADATA = 200, 500, 120, 20_000
NO_RUN = "this picture was not made by a run"


def graph_of(record: ImageRecord, services: InvocationServices) -> tuple[Graph | None, str]:
    """(the graph whose run made a picture, "") or (None, why there is none)."""
    if not record.session_id:
        return None, NO_RUN
    try:
        return services.graph_execution_manager.get(record.session_id).graph, ""
    except (NbgraphError, ValueError) as error:
        return None, f"the run that made this picture cannot be read: {error}"


def values_of(graph: Graph | None) -> list[list[str]]:
    """[address, value] of every input that was typed, as texts: `["noise.seed", "7"]`."""
    if graph is None:
        return []
    found = [
        [f"{node_id}.{name}", _text(value)]
        for node_id, node in graph.nodes.items()
        for name, value in node.literals().items()
        if name in node.model_fields_set
    ]
    return found[:MAX_VALUES]


def differences(first: ImageRecord, second: ImageRecord, services: InvocationServices) -> list[list[str]]:
    """[address, value for the first, value for the second], where they differ."""
    one, two = (dict(values_of(graph_of(record, services)[0])) for record in (first, second))
    return [
        [address, one.get(address, ""), two.get(address, "")]
        for address in dict.fromkeys([*one, *two])
        if one.get(address) != two.get(address)
    ]


def label_of(record: ImageRecord, services: InvocationServices) -> str:
    """The longest prompt that was typed into the graph of a picture, else the node that made it, else its category."""
    graph, _ = graph_of(record, services)
    if graph is None:
        return record.node_id or record.category
    texts = [
        value
        for node in graph.nodes.values()
        for name, value in node.literals().items()
        if name in ("text", "prompt", "prompts") and isinstance(value, str)
    ]
    return max(texts, key=len, default="")[:MAX_LABEL] or record.node_id or record.category


def metadata_text(record: ImageRecord) -> str:
    """The metadata as indented JSON; empty where there is none."""
    return json.dumps(record.metadata, indent=2, ensure_ascii=False)[:MAX_METADATA] if record.metadata else ""


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
