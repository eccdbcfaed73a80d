"""Where nodes stand in a drawing: columns by how much they wait for, and few crossings between columns."""

from collections.abc import Mapping, Sequence

SWEEPS = 4
Passage = tuple[str, str, int]
"""Where the edges from one node to another pass a column between them: (source, target, column)."""
Slot = str | Passage


def layered(parents: Mapping[str, Sequence[str]]) -> list[list[Slot]]:
    """Layers of nodes and passages, each node right of all it needs.

    `parents` lists sources before what needs them. An edge over several columns has a passage in each one between, so
    that it goes round the nodes there.
    """
    rank: dict[str, int] = {}
    for node, needed in parents.items():
        rank[node] = 1 + max((rank[one] for one in needed), default=-1)
    before: dict[Slot, list[Slot]] = {}
    layers: list[list[Slot]] = [[] for _ in range(1 + max(rank.values(), default=-1))]
    for node, needed in parents.items():
        layers[rank[node]].append(node)
        before[node] = []
        for source in needed:
            last: Slot = source
            for column in range(rank[source] + 1, rank[node]):
                passage = (source, node, column)
                layers[column].append(passage)
                before[passage] = [last]
                last = passage
            before[node].append(last)
    after: dict[Slot, list[Slot]] = {slot: [] for slot in before}
    for slot, sources in before.items():
        for source in sources:
            after[source].append(slot)
    for _ in range(SWEEPS):
        _sort(layers, before)
        _sort(layers[::-1], after)
    return layers


def _sort(layers: Sequence[list[Slot]], neighbours: Mapping[Slot, Sequence[Slot]]) -> None:
    """Order each layer by the mean place of what its slots are joined to."""
    place = {slot: number - len(layer) / 2 for layer in layers for number, slot in enumerate(layer)}
    for layer in layers:
        layer.sort(key=lambda slot: _mean([place[one] for one in neighbours[slot]], place[slot]))
        place.update({slot: number - len(layer) / 2 for number, slot in enumerate(layer)})


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
