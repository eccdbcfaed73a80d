"""The engine's features without the engine: what they cost in one loop, with nothing between them.

For each node the loop looks up what arrives, makes the key, asks a dict, validates, invokes, keeps an entry and a stats
row, and tells a listener. It has no order of its own, no paths, no limits, no deleted resources, no failures and no
cancel: what the engine costs above it is the price of those.
"""

from collections.abc import Callable
from time import perf_counter, time

from nbgraph.services.events.events_common import Event, NodeCompleted, NodeStarted
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry, Contents
from nbgraph.services.invocation_processor.session_runner import Recipe
from nbgraph.services.shared.graph.plan import Plan


def run_bare(plan: Plan, cache: dict[bytes, CacheEntry], listen: Callable[[Event], None]) -> list[tuple]:
    """Run the nodes of a plan without iterations; returns the stats rows."""
    recipes = {cls: Recipe(cls) for cls in plan.classes}
    inputs_of = Contents(lambda field: field.resource_name).inputs
    outputs, rows = [], []
    for planned in plan.nodes:
        began = perf_counter()
        node, type_name = planned.id, planned.kind.type
        recipe = recipes[type(planned.node)]
        values = planned.node.__dict__.copy()
        for edge in planned.inputs:
            values[edge.field] = outputs[edge.parent].__dict__[edge.output]
        inputs = inputs_of(recipe.template.pick(values))
        key = recipe.template.key(inputs)
        entry = cache.get(key)
        if entry is None:
            listen(NodeStarted("bare", node, node, type_name))
            ready = object.__new__(recipe.cls)
            recipe.validate(values, self_instance=ready)
            output = ready.invoke(None)
            seconds, size = perf_counter() - began, len(recipe.template.head) + len(inputs)
            cache[key] = CacheEntry(
                key, recipe.template.head, inputs, node, type_name, (), (), size, seconds, time(), 0, output
            )
        else:
            output = entry.output
            entry.hits += 1
        outputs.append(output)
        seconds = perf_counter() - began
        rows.append((node, node, type_name, (), "completed", entry is not None, began, seconds, None, None, ""))
        listen(NodeCompleted("bare", node, node, type_name, output, entry is not None, seconds))
    return rows
