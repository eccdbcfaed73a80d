"""The contract of item storage, in memory and in a folder."""

import sys
import threading

import pytest

from nbgraph.errors import NotFoundError
from nbgraph.invocations.math import Add
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.item_storage.item_storage_base import ItemStorageBase
from nbgraph.services.item_storage.item_storage_memory import ItemStorageMemory
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph


@pytest.fixture
def library(services: InvocationServices) -> ItemStorageBase[LibraryGraph]:
    library = services.graph_library
    for item in library.list(per_page=100).items:
        library.delete(item.id)
    return library


def adding(name: str, id: str | None = None) -> LibraryGraph:
    inputs, outputs = [Exposed("start", "add", "a")], [Exposed("sum", "add", "value")]
    return LibraryGraph(name, Graph.of(Add(id="add", a=1, b=2)), inputs, outputs, "adds", id)


def test_an_item_comes_back_as_it_was(library):
    library.set(adding("plus", "one"))
    assert library.get("one").to_dict() == adding("plus", "one").to_dict() | {
        "graph": library.get("one").graph.to_dict()
    }
    assert library.get("one").node_class()(start=4).start == 4


def test_an_item_replaces_the_one_of_the_same_id_and_keeps_its_place(library):
    for name in ("a", "b"):
        library.set(adding(name, name))
    library.set(adding("a, again", "a"))
    assert [item.name for item in library.list().items] == ["a, again", "b"]


def test_items_are_listed_by_pages(library):
    for number in range(5):
        library.set(adding(str(number), f"id {number}"))
    page = library.list(page=1, per_page=2)
    assert ([item.name for item in page.items], page.total) == (["2", "3"], 5)


def test_a_search_takes_the_text_as_it_is(library):
    library.set(adding('100% red_apple\'s "best"', "one"))
    library.set(adding("plain", "two"))
    assert [item.id for item in library.search("100% red_").items] == ["one"]
    assert library.search("1__%").total == 0
    assert library.search("'; DROP TABLE items; --").total == 0


def test_deleting_tells_whether_there_was_one_and_who_asked_hears_of_it(library):
    changed, deleted = [], []
    library.on_changed(lambda item: changed.append(item.id))
    library.on_deleted(deleted.append)
    library.set(adding("plus", "one"))
    assert (library.delete("one"), library.delete("one")) == (True, False)
    assert (changed, deleted) == (["one"], ["one"])
    assert library.condition("one") == "missing"
    with pytest.raises(NotFoundError, match="LibraryGraph 'one'"):
        library.get("one")


def test_live_sessions_are_listed_while_another_thread_adds_some(services):
    sessions = services.graph_execution_manager
    made = [GraphExecutionState(Graph.of(Add(id="add"))) for _ in range(300)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        other = threading.Thread(target=lambda: [sessions.set(session) for session in made])
        other.start()
        while other.is_alive():
            assert len(sessions.live()) <= len(made)
        other.join()
    finally:
        sys.setswitchinterval(before)
    assert {session.id for session in sessions.live()} == {session.id for session in made}


def test_an_empty_library_is_filled_and_one_with_graphs_is_left_as_it_is(library):
    library.stock(lambda: [adding("a", "a"), adding("b", "b")])
    library.set(adding("c", "c"))
    assert [item.name for item in library.list().items] == ["a", "b", "c"]
    library.delete("a")
    library.stock(lambda: [adding("a", "a")])
    assert [item.name for item in library.list().items] == ["b", "c"]


def test_in_memory_the_graphs_of_a_library_are_made_when_it_is_first_used():
    library, made = ItemStorageMemory(LibraryGraph), []

    def make() -> list[LibraryGraph]:
        made.append("once")
        return [adding("a", "a")]

    library.stock(make)
    assert made == []
    assert [library.get("a").name for _ in range(2)] == ["a", "a"]
    assert made == ["once"]
