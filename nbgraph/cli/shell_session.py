"""The session of the shell and the magics: a graph extended line by line, each line a transaction."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from nbgraph.cli.command_table import Call, CommandTable, Reply
from nbgraph.cli.results import line_reply
from nbgraph.errors import GraphError, NbgraphError
from nbgraph.grammar.catalogue import Catalogue, describe_node
from nbgraph.grammar.compiler import Planned, Words, plan_line
from nbgraph.grammar.lexer import GrammarError
from nbgraph.grammar.parser import Stage, parse_line
from nbgraph.progress import Progress, ProgressStyle, ProgressTracker, progress_display
from nbgraph.run import Run
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.studio import Studio
from nbgraph.texts import one_line

MAX_UNDO = 1000
CANCEL_SECONDS = 30


class ExitShell(Exception):
    """A person asked to leave the shell."""


@dataclass(frozen=True)
class State:
    """The state that a line may change: the graph, its execution, the defaults, the nodes of the last line."""

    graph: Graph = field(default_factory=Graph)
    execution: GraphExecutionState | None = None
    defaults: Mapping[str, Words] = field(default_factory=dict[str, Words])
    last: tuple[str, ...] = ()


class ShellSession:
    """Performs lines and replies. `perform` does all of a line, or raises and leaves the session unchanged.

    A `rich` session replies with figures and images, others with text and paths.
    """

    def __init__(
        self, studio: Studio, commands: CommandTable, *, rich: bool = False, progress: ProgressStyle = "text"
    ) -> None:
        self.studio, self.commands, self.rich = studio, commands, rich
        self.progress: ProgressStyle = progress
        self.state = State()
        self._before: list[State] = []

    @property
    def graph(self) -> Graph:
        """The graph with the nodes of all lines."""
        return self.state.graph

    @property
    def catalogue(self) -> Catalogue:
        """The names of stages now, with nodes and library graphs that were made since the last line."""
        library = self.studio.services.graph_library
        # the total comes with any page; a second query is needed only if there are several
        found = library.list(per_page=1)
        if found.total > len(found.items):
            found = library.list(per_page=found.total)
        return Catalogue(found.items, self.commands.first_words)

    def perform(self, line: str) -> list[Reply]:
        """Perform a line. Raises `GrammarError` if it cannot be read, `NodeError` if one of its nodes fails."""
        stages, catalogue = parse_line("help" if line.strip() in ("--help", "-h") else line), self.catalogue
        for stage in stages:
            if any(option.name == "help" for option in stage.options):
                return [self._help(stage, catalogue)]
        nodes, calls = self._split(stages, catalogue)
        planned = plan_line(nodes, self.graph, catalogue, self.state.defaults)
        planned.check()
        before = self.state
        replies: list[Reply] = []
        try:
            if nodes:
                replies.append(self._add(planned))
            replies += [call(self) for call in calls]
        # an interrupt too takes the whole line back
        except BaseException:
            self._restore(before)
            raise
        return replies

    def change(self, **changes: Any) -> None:
        """Replace parts of the state; `undo` takes it back."""
        self._before = [*self._before[-MAX_UNDO:], self.state]
        self.state = replace(self.state, **changes)

    def undo(self) -> State | None:
        """Return to the state before the last change. Returns the state that was left, or None without a change."""
        if not self._before:
            return None
        left = self.state
        self.state = self._before.pop()
        return left

    def run_graph(self, graph: Graph) -> GraphExecutionState:
        """Run the nodes that the graph adds to the session, or all if it does not contain the session's nodes."""
        goes_on = (
            self.state.execution
            # by identity: a loaded graph may have other nodes under the same ids
            if all(graph.nodes.get(key) is node for key, node in self.graph.nodes.items())
            else None
        )
        session = grown(goes_on, graph, self.studio.settings.max_iterations)
        run_session(self.studio, session, unless_quick(progress_display(self.progress)))
        return session

    def _split(self, stages: Sequence[Stage], catalogue: Catalogue) -> tuple[list[Stage], list[Call]]:
        """Return the node stages of a line, and the calls of the commands after them."""
        nodes: list[Stage] = []
        calls: list[Call] = []
        for stage in stages:
            if catalogue.is_command(stage.name):
                calls.append(self.commands.bind(stage))
            elif calls:
                text = f"{stage.name.text} follows a command; nodes come first in a line, or on a line of their own"
                raise GrammarError(text, stage.name.column)
            else:
                nodes.append(stage)
        return nodes, calls

    def _add(self, planned: Planned) -> Reply:
        try:
            execution = self.run_graph(planned.graph)
        except GraphError as error:
            raise planned.located(error) from None
        self.change(graph=planned.graph, execution=execution, last=tuple(planned.added))
        return line_reply(planned.graph, execution, planned.added, self.studio.services)

    def _restore(self, before: State) -> None:
        while self.state is not before and self._before:
            self.state = self._before.pop()
        self.state = before
        if before.execution is not None:
            # the run has stored the extended session under the same id
            self.studio.services.graph_execution_manager.set(before.execution)

    def _help(self, stage: Stage, catalogue: Catalogue) -> Reply:
        if not catalogue.is_command(stage.name):
            return Reply(describe_node(catalogue.node_class(stage.name), stage.name.text))
        name = " ".join([stage.name.text, *(word.text for word in stage.words[:1])])
        command = self.commands.commands.get(name) or self.commands.commands.get(stage.name.text)
        return Reply(command.help if command else one_line(name))


def grown(session: GraphExecutionState | None, graph: Graph, max_iterations: int) -> GraphExecutionState:
    """Return a session of the graph that keeps the results of the given one, which is not changed."""
    if session is None:
        return GraphExecutionState(graph, max_iterations=max_iterations)
    larger = copy(session)
    # an error of an earlier line must not end this one
    larger.errors = {}
    larger.extend(graph)
    return larger


def run_session(studio: Studio, session: GraphExecutionState, show: Callable[[Progress], None]) -> Run:
    """Run the rest of a session and wait. Raises the first `NodeError`; `KeyboardInterrupt` cancels the run first."""
    tracker = ProgressTracker(session.id)
    # before the run begins, or its first events are missed
    tracker.listen(studio.services.events)
    try:
        handle = studio.invoker.invoke(session)
    except BaseException:
        tracker.close()
        raise
    run = Run(handle, studio.services, tracker)
    try:
        run.wait(show=show)
    except KeyboardInterrupt:
        run.cancel()
        # nodes stop at their next step; what has finished is still stored
        run.wait(CANCEL_SECONDS)
        raise
    run.raise_error()
    if run.status == "cancelled":
        raise NbgraphError("the run was cancelled; what had finished is in the cache")
    return run


def unless_quick(show: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Return a progress display that shows nothing of a run that has ended at its first call."""
    shown: list[Progress] = []

    def show_later(progress: Progress) -> None:
        if shown or progress.status in ("pending", "running"):
            shown[:] = [progress]
            show(progress)

    return show_later
