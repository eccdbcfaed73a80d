"""Topological order: depth first, so that a chain is finished before the next one starts. No recursion."""

from collections.abc import Iterable, Mapping, Sequence


def topological_order(
    parents: Mapping[str, Sequence[str]], wanted: Iterable[str] | None = None
) -> tuple[list[str], list[str]]:
    """(order, circle): every node after its parents, in the order given where there is a choice.

    `parents` names the nodes a node needs; `wanted` restricts the order to those nodes and what they need. If there is
    a circle it is returned, and the order is what could be ordered before it was met.
    """
    order: list[str] = []
    done: set[str] = set()
    for start in parents if wanted is None else wanted:
        if start in done:
            continue
        if done.issuperset(parents.get(start, ())):
            done.add(start)
            order.append(start)
            continue
        chain: list[tuple[str, int]] = [(start, 0)]
        on_chain = {start}
        while chain:
            node, position = chain.pop()
            needed = parents.get(node, ())
            while position < len(needed) and needed[position] in done:
                position += 1
            if position == len(needed):
                done.add(node)
                on_chain.discard(node)
                order.append(node)
                continue
            source = needed[position]
            chain.append((node, position + 1))
            if source in on_chain:
                ids = [entry[0] for entry in chain]
                return order, ids[ids.index(source) :]
            chain.append((source, 0))
            on_chain.add(source)
    return order, []
