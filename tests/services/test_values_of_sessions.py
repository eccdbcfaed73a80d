"""Sessions are found by the values in their graphs: prompts, numbers, models; never by ids, types, names of inputs."""

import pytest

from nbgraph.invocations import BlankImage, ModelLoader, Noise, Prompt, String
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import LibraryGraph

TEXT = 'a Red "apple" \\ Äpfel,\nStraße'


@pytest.fixture
def sessions(services):
    return services.graph_execution_manager


def add(sessions, *nodes):
    session = GraphExecutionState(Graph.of(*nodes))
    sessions.set(session)
    return session.id


def prompt(text):
    return Prompt(id="words", text=text, clip=ModelLoader(id="loader", model="emoji"))


@pytest.mark.parametrize("text", ["red", 'RED "APPLE', "\\ ä", "äPFEL,\nstrasse", "ÄPFEL", "emo", "Straße"])
def test_a_value_is_found_in_capitals_or_not(sessions, text):
    found, _ = add(sessions, prompt(TEXT)), add(sessions, String(id="other", value="blue"))
    assert sessions.with_value(text) == {found}


@pytest.mark.parametrize("text", ["words", "loader", "prompt", "model_loader", "clip", "true", "null"])
def test_ids_types_names_of_inputs_and_nothing_are_no_values(sessions, text):
    add(sessions, prompt("an apple"))
    assert sessions.with_value(text) == set()


def test_numbers_are_found_as_they_are_typed(sessions):
    seed = 2**64 - 1
    found = add(sessions, Noise(id="noise", unet=ModelLoader(id="model", model="emoji"), seed=seed))
    wide = add(sessions, BlankImage(id="blank", width=4096, height=8))
    assert sessions.with_value(str(seed)) == {found}
    assert sessions.with_value("4096") == {wide}


def test_values_inside_library_graphs_are_found_and_their_names_are_not(sessions):
    inner = LibraryGraph("greeting", Graph.of(String(id="text", value="hello")), {"words": "text.value"})
    found = add(sessions, inner.node_class()(id="group"))
    assert sessions.with_value("HELLO") == {found}
    assert sessions.with_value("greeting") == sessions.with_value("words") == set()


def test_a_session_that_was_deleted_is_not_found(sessions):
    found = add(sessions, prompt("an apple"))
    sessions.delete(found)
    assert sessions.with_value("apple") == set()
