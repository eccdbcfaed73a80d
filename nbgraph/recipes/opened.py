"""What was opened: a graph, what it was read from, and what of that was taken over, differs or is missing."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from nbgraph.html import Html, element, joined, table
from nbgraph.recipes.recipe import Recipe
from nbgraph.services.shared.graph.graph import Graph

State = Literal["exact", "differs", "missing"]
ORDER: tuple[State, ...] = ("missing", "differs", "exact")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was read: what it is, what became of it, and why."""

    what: str
    state: State
    why: str = ""


class Report(list[Finding]):
    """Everything that was read, a finding each; a cell shows it as a table, what is missing first."""

    def exact(self, what: str, why: str = "") -> None:
        """Note what was taken over exactly."""
        self.append(Finding(what, "exact", why))

    def differs(self, what: str, why: str) -> None:
        """Note what was taken over, and gives another picture."""
        self.append(Finding(what, "differs", why))

    def missing(self, what: str, why: str) -> None:
        """Note what could not be taken over."""
        self.append(Finding(what, "missing", why))

    def of(self, state: State) -> list[Finding]:
        """Return the findings of one state."""
        return [each for each in self if each.state == state]

    def sorted(self) -> Iterator[Finding]:
        """Yield the findings, what is missing first."""
        return (each for state in ORDER for each in self.of(state))

    def __str__(self) -> str:
        return "\n".join(f"{each.state:8}{each.what}{': ' if each.why else ''}{each.why}" for each in self.sorted())

    def html(self) -> Html:
        """Return the findings as a table."""
        return table(((each.state, each.what, each.why) for each in self.sorted()), ("", "what", "why"))

    def _repr_html_(self) -> Html:
        return self.html()


@dataclass
class Opened:
    """A graph read from a picture, a file or a text.

    `kind` says what it was read from, `report` what became of it. Nodes that nothing here corresponds to are inert
    placeholders in `graph.layout["unknown"]`: the canvas shows them, and a graph in which one gives something to
    another node cannot run. `recipe` is there for pictures of nbgraph.
    """

    graph: Graph
    kind: str
    report: Report = field(default_factory=Report)
    recipe: Recipe | None = None

    @property
    def is_exact(self) -> bool:
        """Whether everything was taken over exactly."""
        return all(finding.state == "exact" for finding in self.report)

    def _repr_html_(self) -> Html:
        return joined([element("p", repr(self)), self.report.html()])

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(found)} {state}" for state in ORDER if (found := self.report.of(state)))
        return f"Opened({self.kind}: {len(self.graph)} nodes{f'; {counts}' if counts else ''})"
