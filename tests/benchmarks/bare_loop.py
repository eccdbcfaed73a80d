"""The engine's features without the engine: what they cost in one loop, with nothing between them.

For each node the loop looks up what arrives, makes the key, asks a dict, validates, invokes, keeps an entry and a stats
row, and tells a listener. It has no order of its own, no paths, no limits, no deleted resources, no failures and no
cancel: what the engine costs above it is the price of those.
"""

from collections.abc import Callable
from time import perf_counter

from nbgraph.invocations.node_type import node_type_of
from nbgraph.invocations.valid import validated
from nbgraph.services.events.events_common import Event, NodeCompleted, NodeStarted
from nbgraph.services.invocation_cache.code_hash import code_of
from nbgraph.services.invocation_cache.contents import Contents
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.shared.graph.plan import Plan


def run_bare(plan: Plan, cache: dict[bytes, CacheEntry], listen: Callable[[Event], None]) -> list[tuple]:
    """Run the nodes of a plan without iterations; returns the stats rows."""
    heads = {cls: node_type_of(cls).key_head(code_of(cls)) for cls in plan.node_types}
    key_of = Contents(lambda field: field.resource_name).key
    outputs, rows = [], []
    for planned in plan.nodes:
        began = perf_counter()
        node, type_name = planned.id, planned.node_type.name
        cls = type(planned.node)
        head = heads[cls]
        values = planned.node.__dict__.copy()
        for edge in planned.inputs:
            values[edge.field] = outputs[edge.parent].__dict__[edge.output]
        key, inputs = key_of(head, planned.node_type.pick(values))
        entry = cache.get(key)
        if entry is None:
            listen(NodeStarted("bare", node, node, type_name))
            output = validated(cls, values).invoke(None)
            seconds = perf_counter() - began
            cache[key] = CacheEntry(key, node, type_name, head.text, inputs, (), seconds, output=output)
        else:
            output = entry.output
            entry.hits += 1
        outputs.append(output)
        seconds = perf_counter() - began
        rows.append((node, node, type_name, (), "completed", entry is not None, began, seconds, None, None, ""))
        listen(NodeCompleted("bare", node, node, type_name, output, entry is not None, seconds))
    return rows
