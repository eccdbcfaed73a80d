"""A session of lines in a studio in memory."""

import cli_nodes  # noqa: F401
import pytest

from nbgraph.cli.commands import new_session


@pytest.fixture
def shell(studio):
    return new_session(studio, progress=False)


@pytest.fixture
def say(shell):
    """Performs a line and gives its text."""
    return lambda line: "\n".join(reply.text for reply in shell.perform(line))


@pytest.fixture
def links(shell):
    """The edges into a node: input -> "source.output", several as a list."""

    def links_of(node_id):
        found = {}
        for link in shell.graph.links(node_id):
            found.setdefault(link.field, []).append(f"{link.source}.{link.output}")
        return {name: sources[0] if len(sources) == 1 else sources for name, sources in found.items()}

    return links_of


@pytest.fixture
def value(shell):
    """The output `value` of a node."""
    return lambda node_id: shell.state.execution.outputs_of(node_id)[()].value
