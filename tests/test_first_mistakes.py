"""What people do wrong in their first hour, and what they are told."""

from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from pictures import apple

import nbgraph as nb
from nbgraph.errors import ChoiceError, GraphError, NbgraphError, NotFoundError, PositionalError, TargetError
from nbgraph.experiments.batch import Batch
from nbgraph.invocations import Add, DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import CollectionOutput
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


def test_a_misspelt_name_of_the_package_is_told_the_near_one():
    with pytest.raises(AttributeError, match="did you mean 'Studio'"):
        nb.Studo  # noqa: B018


def test_a_node_looked_for_in_the_package_is_told_where_nodes_are():
    with pytest.raises(AttributeError, match="nodes are in nbgraph.invocations"):
        nb.ModelLoader  # noqa: B018


def test_a_misspelt_choice_is_told_the_near_one():
    with pytest.raises(GraphError, match="not 'eulr'; did you mean 'euler'"):
        DenoiseLatents(scheduler="eulr")  # pyright: ignore[reportArgumentType]


def test_the_name_of_a_graph_file_in_place_of_its_text_is_told_to_be_a_name():
    with pytest.raises(GraphError, match=r"looks like the name of a file; .* studio.edit\('apple.json'\)"):
        nb.Graph.from_json("apple.json")


def test_a_checkpoint_that_is_a_pickle_is_told_how_to_become_a_safe_one(studio, tmp_path):
    file = tmp_path / "model.ckpt"
    file.write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(NbgraphError, match="is a pickle.* never loaded.*--convert"):
        studio.run(ModelLoader(model=str(file)))


@pytest.mark.parametrize("given", ["emoji", 7, None])
def test_a_text_where_an_edge_belongs_is_told_to_be_a_node(given):
    with pytest.raises(
        GraphError, match=f"prompt.clip: takes ClipField: give it a node with such an output, not {given!r}"
    ):
        Prompt(text="a red apple", clip=given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (LatentsToImage, r"not the class LatentsToImage; make a node of it: LatentsToImage\(\.\.\.\)"),
        ("text to image", r"not 'text to image'; .*studio\.form\(name\)"),
        (None, "not None"),
        ({"nodes": {}}, r"not \{'nodes': \{\}\}"),
        ([apple(), "noise"], "a list of nodes"),
    ],
)
def test_what_is_no_graph_is_refused_by_everything_that_takes_one(studio, given, said):
    for take in (studio.run, studio.submit, studio.explain):
        with pytest.raises(TargetError, match=said):
            take(given)


def test_a_result_of_a_node_of_another_graph_is_not_found_by_its_type(studio):
    run = studio.run(apple(), progress=False)
    stranger = Noise(unet=ModelLoader(model="emoji"))
    with pytest.raises(NotFoundError, match="that 'noise' is not a node of this run; did you mean 'noise'"):
        run[stranger]


@pytest.mark.parametrize("values", [3, "red"])
def test_a_sweep_over_one_value_asks_for_a_list(studio, values):
    with pytest.raises(GraphError, match=f"takes a list of values for 'prompt.text', not {values!r}"):
        studio.sweep(apple(), {"prompt.text": values}, progress=False)


def test_a_closed_studio_says_that_it_is_closed():
    studio = nb.Studio()
    studio.close()
    with pytest.raises(NbgraphError, match="this studio or invoker is closed; open another"):
        studio.run(apple(), progress=False)


def test_a_misspelt_input_is_told_the_near_one():
    with pytest.raises(GraphError, match="has no input 'step'; did you mean 'steps'"):
        DenoiseLatents(unet=ModelLoader(model="emoji"), step=20)


@pytest.mark.parametrize("address", [5, None, Add(id="sum")])
def test_an_address_that_is_no_text_is_told_how_one_is_written(studio, address):
    with pytest.raises(GraphError, match='an address is a text, "node.field", as in "noise.seed", not '):
        studio.run(Add(id="sum", a=1, b=2), {address: 3}, progress=False)


@pytest.mark.parametrize("values", [[("sum.a", 3)], "sum.a=3", 7])
def test_values_that_are_no_dict_are_told_to_be_one(studio, values):
    with pytest.raises(GraphError, match='values are a dict by address, such as {"noise.seed": 8}, not'):
        studio.run(Add(id="sum", a=1, b=2), values, progress=False)


def test_a_node_in_place_of_an_address_is_told_its_inputs(studio):
    with pytest.raises(GraphError, match=r"sum: is a node, .* one of its inputs, sum\.<input> \(inputs: a, b\)"):
        studio.run(Add(id="sum", a=1, b=2), {"sum": 3}, progress=False)


@pytest.mark.parametrize("on_error", ["Continue", "ignore", True, None])
def test_a_misspelt_on_error_is_told_what_is_possible_before_anything_runs(studio, on_error):
    for take in (studio.run, studio.submit, lambda node, **how: GraphExecutionState(Graph.of(node), **how)):
        with pytest.raises(
            ChoiceError, match=r"on_error cannot be .*( \(possible: 'continue', 'stop'\)|; did you mean 'continue'\?)$"
        ):
            take(Add(a=1, b=2), on_error=on_error)
    assert len(studio.queue) == 0


@pytest.mark.parametrize("progress", ["blah", "Text", 3])
def test_a_misspelt_progress_is_told_what_is_possible_before_anything_runs(studio, progress):
    possible = r" \(possible: 'text', 'widget', False, True, a function of a Progress\)"
    said = rf"progress cannot be .*({possible}|; did you mean 'text'\?)$"
    with pytest.raises(ChoiceError, match=said):
        studio.run(Add(a=1, b=2), progress=progress)
    with pytest.raises(ChoiceError, match=said):
        studio.sweep(Add(id="sum", a=1, b=2), {"sum.a": [1]}, progress=progress)
    assert len(studio.queue) == 0


@pytest.mark.parametrize("given", [5, Add, None, ("sum", "value")])
def test_a_run_asked_for_what_is_no_node_is_told_what_it_can_be_asked_for(studio, given):
    run = studio.run(Add(id="sum", a=1, b=2), progress=False)
    for ask in (run.__getitem__, run.outputs):
        with pytest.raises(NotFoundError, match="asked for a node, its id or one of its outputs, not for"):
            ask(given)


@pytest.mark.parametrize("given", [["a.value"], ["a.value -> b.a"], [("a.value",)], [7], [None], [{"a.value": "b.a"}]])
def test_an_edge_that_is_no_pair_is_told_to_be_one_and_nothing_is_added(given):
    graph = Graph([Add(id="a"), Add(id="b")])
    with pytest.raises(GraphError, match=r'an edge is a pair, \("noise.noise", "denoise.noise"\), not'):
        graph.add_edges([("a.value", "b.b"), *given])
    assert not graph.edges


@pytest.mark.parametrize("runs", ["3", 2.5, None])
def test_a_batch_that_runs_no_whole_number_of_times_is_refused(studio, runs):
    with pytest.raises(GraphError, match=f"runs a whole number of times, not {runs!r} times"):
        Batch(Graph.of(Add(id="sum")), runs=runs)
    with pytest.raises(GraphError, match=f"runs a whole number of times, not {runs!r} times"):
        studio.sweep(Add(id="sum"), {"sum.a": [1]}, runs=runs, progress=False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "not None$"),
        ({"nodes": {}}, r"not \{'nodes': \{\}\}; Graph.from_dict takes a dict"),
        (Path("apple.json"), r"not .*Path\('apple.json'\); give its read_text\(\), or open it by studio.edit"),
    ],
)
def test_what_is_no_json_text_is_told_how_it_becomes_a_graph(given, said):
    with pytest.raises(GraphError, match=f"a graph is read from a JSON text, {said}"):
        Graph.from_json(given)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Add(1, 2), r"Add takes its inputs by name: write Add\(a=1, b=2\) \(inputs: a, b\)"),
        (lambda: Add(1, a=2), r"write Add\(b=1\) "),
        (lambda: Add(1, 2, 3), r"write Add\(a=1, b=2\) \(inputs: a, b\)"),
        (lambda: ModelLoader("emoji"), r"write ModelLoader\(model='emoji'\)"),
        (lambda: Prompt("a red apple", ModelLoader(model="emoji")), r"write Prompt\(text='a red apple', clip=ModelL"),
    ],
)
def test_inputs_given_by_place_are_told_to_be_given_by_name(make, said):
    Add(), Add(a=2)
    with pytest.raises(PositionalError, match=said):
        make()


def test_completion_shows_the_inputs_of_a_node_and_none_by_place():
    assert list(signature(Add).parameters) == ["id", "is_intermediate", "use_cache", "a", "b"]


def test_comparing_what_is_no_run_is_refused(studio):
    run = studio.run(Add(a=1, b=2), progress=False)
    for pair in ((None, run), (run, None)):
        with pytest.raises(ChoiceError, match=r"a run cannot be None .*a Run, the id of a run"):
            studio.compare(*pair)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"node": [Add(a=1, b=2)]}, r"node cannot be \[.* \(possible: a node, the id of a node\)"),
        ({"node": 5}, "node cannot be 5"),
        ({"type": Add}, r"type cannot be <class .*studio\.cache\.frame\.type"),
        ({"resource": 5}, r"resource cannot be 5 .*studio\.cache\.frame\.resources"),
        ({"key": "xyz"}, r"key cannot be 'xyz' \(possible: hexadecimal digits, as in studio\.cache\.frame\.key\)"),
        ({"key": ""}, "key cannot be ''"),
        ({"key": 5}, "key cannot be 5"),
    ],
)
def test_forgetting_what_is_no_node_type_or_key_is_refused_and_nothing_is_forgotten(studio, given, said):
    studio.run(Add(a=1, b=2), progress=False)
    with pytest.raises(ChoiceError, match=said):
        studio.cache.forget(**given)
    assert studio.cache.forget(type="zzz") == 0
    assert len(studio.cache) == 1


def endless() -> list[Any]:
    found: list[Any] = [1]
    found.append(found)
    return found


@invocation("gives_endless_list", category="test")
class GivesEndlessList(BaseInvocation):
    def invoke(self, context: InvocationContext) -> CollectionOutput:
        return CollectionOutput.model_construct(collection=endless())


@nb.node(category="test")
def returns_endless_list() -> list[Any]:
    return endless()


def test_a_result_that_contains_itself_is_refused_in_words(studio):
    node = GivesEndlessList(id="endless")
    run = studio.run(node, progress=False)
    assert "[...]" in repr(run[node])
    with pytest.raises(
        NbgraphError, match="'collection' of this result is a list that contains itself, .*; let the node"
    ):
        run[node].collection  # noqa: B018
    with pytest.raises(NbgraphError, match="returned a value that contains itself, .*; return one that does not"):
        studio.run(returns_endless_list(), progress=False)
