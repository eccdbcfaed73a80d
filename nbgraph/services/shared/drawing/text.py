"""A graph drawn with characters: a line for each node, with rails from its sources.

●     0 rand_int
├─●   1 add  b=1
╰─●   2 mul

The lines are in topological order, not in layers: a chain stays together, and few rails are open at a time.
"""

from collections.abc import Collection, Mapping, Sequence


def draw_rails(parents: Mapping[str, Sequence[str]], labels: Mapping[str, str]) -> str:
    """Return one line for each node of `parents`, which has sources before what needs them."""
    last_use = {source: node for node, needed in parents.items() for source in needed}
    rails: list[str | None] = []  # the node whose output each rail carries, None for a free place
    rows: list[tuple[str, str]] = []
    for node, needed in parents.items():
        ending = {place for place, source in enumerate(rails) if source is not None and last_use[source] == node}
        own = _free_place(rails, ending)
        feeding = {place for place, source in enumerate(rails) if source in needed}
        rows.append((_row(rails, own, feeding, ending), labels[node]))
        rails = [None if place in ending else source for place, source in enumerate(rails)]
        if node in last_use:
            rails += [None] * (own + 1 - len(rails))
            rails[own] = node
        while rails and rails[-1] is None:
            rails.pop()
    width = max((len(row) for row, _ in rows), default=0)
    return "\n".join(f"{row:<{width}} {label}".rstrip() for row, label in rows)


def _free_place(rails: Sequence[str | None], ending: Collection[int]) -> int:
    """Return the place for a new node: of a source that ends there, or the first free one."""
    if ending:
        return min(ending)
    return next((place for place, source in enumerate(rails) if source is None), len(rails))


def _row(rails: Sequence[str | None], own: int, feeding: Collection[int], ending: Collection[int]) -> str:
    reached = {*feeding, own}
    low, high = min(reached), max(reached)
    characters: list[str] = []
    for place in range(max(len(rails), high + 1)):
        busy = place < len(rails) and rails[place] is not None
        inside = low < place < high
        if place == own:
            sign = "●"
        elif place in feeding:
            sign = _corner(place, own, inside, ends=place in ending)
        elif inside:
            sign = "┼" if busy else "─"
        else:
            sign = "│" if busy else " "
        characters.append(sign + ("─" if low <= place < high else " "))
    return "".join(characters)


def _corner(place: int, own: int, inside: bool, ends: bool) -> str:
    if inside:
        return "┴" if ends else "┼"
    if place < own:
        return "╰" if ends else "├"
    return "╯" if ends else "┤"
