"""Ablation: of all inputs in which two graphs differ, which made the image another one, and by how much.

Each input is changed alone, from both ends: in `a` to its value in `b`, and in `b` back to its value in `a`. If the
inputs act independently both give the same; the difference between the two is interaction with the other inputs. What
several of these runs share is computed once, as everywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from nbgraph.errors import NbgraphError
from nbgraph.experiments.diff import COMMON, Change, Edges, graph_changes
from nbgraph.experiments.sheet import grown
from nbgraph.frames import frame
from nbgraph.html import FIGURE, SOFT, Html, element, image, joined, table
from nbgraph.image_modes import on_white
from nbgraph.services.images.images_base import thumbnail_of
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.texts import value_text

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code

COLUMNS = {
    "input": "str",
    "a": "object",
    "b": "object",
    "from_a": "float64",
    "from_b": "float64",
    "mean": "float64",
    "interaction": "float64",
}
MOST_INPUTS = 32
SHOWN_SIZE = 144


@dataclass(frozen=True)
class Share:
    """What one input does: how far the image moves when it alone is changed in `a`, and when it alone stays in `b`."""

    change: Change
    from_a: float
    from_b: float
    picture: Image.Image | None

    @property
    def mean(self) -> float:
        """The mean from both ends."""
        return (self.from_a + self.from_b) / 2

    @property
    def interaction(self) -> float:
        """How far both ends disagree: what the input does only together with the others, or only without them."""
        return self.from_b - self.from_a


class Ablation:
    """Which inputs made the image another one, the strongest first; a cell shows a table and the images.

    Distances are mean absolute differences of the pixels in RGB, 0 to 255; `whole` is that of the two images.
    """

    def __init__(self, whole: float, pictures: tuple[Image.Image, Image.Image], shares: Sequence[Share]) -> None:
        self.whole, self.pictures = whole, pictures
        # what has no image, because its run failed, comes last
        self.shares = sorted(shares, key=lambda share: (share.mean != share.mean, -share.mean))

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per input: its values `a` and `b`, `from_a`, `from_b`, `mean` and `interaction` (from_b - from_a)."""
        return frame(
            (
                (each.change.name, each.change.a, each.change.b, each.from_a, each.from_b, each.mean, each.interaction)
                for each in self.shares
            ),
            COLUMNS,
        )

    @property
    def sentences(self) -> list[str]:
        """What was found, the strongest input first."""
        found = [f"the images differ by {self.whole:.3g} of 255"]
        for each in self.shares:
            change = f"{each.change.name} {value_text(each.change.a, 40)} -> {value_text(each.change.b, 40)}"
            if each.mean != each.mean:
                found.append(f"{change}: a run failed, so it is not known")
                continue
            together = abs(each.interaction) > max(0.1 * self.whole, 0.5)
            more = f"; {each.from_a:.3g} in a, {each.from_b:.3g} in b, so it acts with the others" if together else ""
            found.append(f"{change}: {each.mean:.3g}{more}")
        return found

    def __repr__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_html_(self) -> Html:
        rows = [
            (
                each.change.name,
                value_text(each.change.a, 60),
                value_text(each.change.b, 60),
                *(f"{value:.3g}" for value in (each.from_a, each.from_b, each.mean, each.interaction)),
            )
            for each in self.shares
        ]
        shown = [("a", self.pictures[0]), *((f"a with {s.change.name} of b", s.picture) for s in self.shares)]
        figures = [_figure(text, picture) for text, picture in [*shown, ("b", self.pictures[1])] if picture is not None]
        note = f"{self.sentences[0]}; mean absolute difference of pixels when one input alone is changed"
        return joined([element("div", *figures), table(rows, tuple(COLUMNS)), element("p", note, style=SOFT)])


def _figure(text: str, picture: Image.Image) -> Html:
    shown = image(thumbnail_of(grown(picture), 2 * SHOWN_SIZE), text, width=SHOWN_SIZE, style="border-radius:4px")
    return element("figure", shown, element("figcaption", text, style=SOFT), style=FIGURE)


def changed_inputs(a: Graph, b: Graph) -> list[Change]:
    """Return the inputs in which two graphs of one structure differ.

    Raises
    ------
    NbgraphError
        They differ in nothing, in nodes or edges, or in more inputs than can be tried.
    """
    _refuse_open_seeds(a)
    changes = [each for each in graph_changes(a, b) if each.name.rpartition(".")[2] not in COMMON]
    if not changes:
        raise NbgraphError("a and b do not differ in any input, so nothing can have made the images different")
    other = [each for each in changes if each.kind != "changed" or Edges in (type(each.a), type(each.b))]
    if other:
        raise NbgraphError(
            f"an ablation changes values of inputs, and a and b differ in nodes or edges too: {other[0]}"
            + (f" and {len(other) - 1} more (see nb.diff(a, b))" if len(other) > 1 else "")
        )
    if len(changes) > MOST_INPUTS:
        raise NbgraphError(f"a and b differ in {len(changes)} inputs; at most {MOST_INPUTS} are tried one by one")
    return changes


def graph_of_run(session: GraphExecutionState) -> Graph:
    """Return the graph of a run with the seeds that were drawn for it, so that running it again gives the same."""
    drawn: dict[str, Any] = {}
    for key, seeds in session.seeds.items():
        rank, path = session.keys.place(key)
        node_id = session.plan.nodes[rank].id
        if not path and node_id in session.graph.nodes:
            drawn |= {f"{node_id}.{name}": seed for name, seed in seeds.items()}
    return session.graph_snapshot().with_values(drawn)


def _refuse_open_seeds(graph: Graph) -> None:
    """Raise for a seed that is left open: every run would draw another, which no input made different."""
    for node_id, node in graph.nodes.items():
        linked = {link.field for link in graph.links(node_id)}
        for spec in node.inputs().values():
            if spec.seed and spec.name not in linked and getattr(node, spec.name) is None:
                raise NbgraphError(f"{node_id}.{spec.name} is left open, so every run draws another; give it a value")


def ablate(
    a: Graph, b: Graph, run_all: Callable[[Sequence[Graph]], Sequence[Image.Image | None]], changes: Sequence[Change]
) -> Ablation:
    """Run both graphs and each with one input exchanged, and compare the images.

    Parameters
    ----------
    a, b
        Two graphs of one structure.
    run_all
        Runs graphs and returns the image of each; None where a run failed.
    changes
        The inputs in which they differ.

    Raises
    ------
    NbgraphError
        One of the two gives no image, so there is nothing to compare.
    """
    graphs = [a, b]
    for each in changes:
        graphs += [a.with_values({each.name: each.b}), b.with_values({each.name: each.a})]
    first, second, *others = run_all(graphs)
    if first is None or second is None:
        raise NbgraphError(f"{'a' if first is None else 'b'} gave no image, so there is nothing to compare")
    shares = [
        Share(change, distance(first, others[2 * place]), distance(second, others[2 * place + 1]), others[2 * place])
        for place, change in enumerate(changes)
    ]
    return Ablation(distance(first, second), (first, second), shares)


def distance(first: Image.Image, second: Image.Image | None) -> float:
    """Return the mean absolute difference of two images in RGB, 0 to 255; another size is scaled, none is NaN."""
    if second is None:
        return nan
    if second.size != first.size:
        second = second.resize(first.size, Image.Resampling.LANCZOS)
    values = [np.asarray(on_white(picture), np.float64) for picture in (first, second)]
    return float(np.abs(values[0] - values[1]).mean())
