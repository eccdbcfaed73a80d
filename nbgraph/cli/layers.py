"""Where nodes stand in a drawing: columns by how much they wait for, and few crossings between columns."""

from collections.abc import Mapping, Sequence

SWEEPS = 4


def layered(parents: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Layers of nodes, each right of all it needs; `parents` lists sources before what needs them."""
    rank: dict[str, int] = {}
    for node, needed in parents.items():
        rank[node] = 1 + max((rank[one] for one in needed), default=-1)
    layers: list[list[str]] = [[] for _ in range(1 + max(rank.values(), default=-1))]
    for node, place in rank.items():
        layers[place].append(node)
    children: dict[str, list[str]] = {node: [] for node in parents}
    for node, needed in parents.items():
        for one in needed:
            children[one].append(node)
    for _ in range(SWEEPS):
        _sort(layers, parents)
        _sort(layers[::-1], children)
    return layers


def _sort(layers: Sequence[list[str]], neighbours: Mapping[str, Sequence[str]]) -> None:
    """Order each layer by the mean place of what its nodes are joined to."""
    place = {node: number - len(layer) / 2 for layer in layers for number, node in enumerate(layer)}
    for layer in layers:
        layer.sort(key=lambda node: _mean([place[one] for one in neighbours[node]], place[node]))
        place.update({node: number - len(layer) / 2 for number, node in enumerate(layer)})


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
