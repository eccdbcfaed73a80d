"""Seeds from 0 to 2**64 - 1 pass exactly through nodes, files, sweeps, forms, folders and the canvas; no others do."""

import json

import pytest

import nbgraph as nb
from nbgraph.errors import GraphError
from nbgraph.invocations import (
    DynamicPrompt,
    InfillTiles,
    Iterate,
    ModelLoader,
    Noise,
    RandomFloat,
    RandomInteger,
    RandomRange,
)
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.changes import Change, read_changes
from nbgraph.widgets.derived import ShownDocument
from nbgraph.widgets.document import GraphDocument
from nbgraph.widgets.exact_numbers import from_page, to_page

GREATEST = 2**64 - 1
SEEDED = (Noise, RandomInteger, RandomFloat, RandomRange, DynamicPrompt, InfillTiles)


def dice(seed: int | None = GREATEST) -> RandomInteger:
    return RandomInteger(id="dice", high=10, seed=seed)


@pytest.mark.parametrize("node_class", SEEDED)
def test_the_greatest_seed_is_taken_and_those_beyond_are_refused_in_words(node_class):
    prompt = {"prompt": "{a|b}"} if node_class is DynamicPrompt else {}
    assert node_class(seed=GREATEST, **prompt).seed == GREATEST
    said = r"seed: a seed is a whole number from 0 to 2\*\*64 - 1, not .*; leave it out to draw one"
    for wrong in (-1, 2**64, 1.5, "x"):
        with pytest.raises(GraphError, match=said):
            node_class(seed=wrong, **prompt)


def test_a_file_that_asks_for_a_negative_seed_is_refused():
    with pytest.raises(GraphError, match="not -1; leave it out to draw one"):
        Graph.from_json('{"nodes": {"dice": {"type": "rand_int", "seed": -1}}}')


def test_noise_is_drawn_by_any_seed_and_near_ones_differ(studio):
    noises = Noise(id="noise", unet=ModelLoader(model="emoji"), seed=Iterate(collection=[GREATEST, GREATEST - 1]))
    run = studio.run(noises, progress=False)
    first, second = [one.noise.tensor() for one in run.outputs("noise")]
    assert not first.equal(second)
    assert [one.seed for one in run.outputs("noise")] == [GREATEST, GREATEST - 1]


@pytest.mark.parametrize("node", [dice(), RandomRange(id="dice", seed=GREATEST)])
def test_a_folder_keeps_large_seeds_exactly(tmp_path, node):
    with nb.Studio(tmp_path) as studio:
        session = studio.run(node, progress=False).id
    with nb.Studio(tmp_path) as studio:
        kept = studio.services.graph_execution_manager.get(session)
        assert kept.graph.nodes["dice"].seed == GREATEST
        assert studio.run(node, progress=False).stats.cached.tolist() == [True]


def test_graphs_as_json_and_python_keep_them():
    graph = Graph.of(dice())
    assert Graph.from_json(graph.to_json()).nodes["dice"].seed == GREATEST
    assert str(GREATEST) in graph.to_python()


def test_a_sweep_tells_large_seeds_apart(studio):
    sweep = studio.sweep(dice(), {"dice.seed": [GREATEST, GREATEST - 1, 1]}, progress=False)
    assert sweep.frame["dice.seed"].tolist() == [GREATEST, GREATEST - 1, 1]


def test_seeds_that_are_drawn_are_short(studio):
    run = studio.run(dice(None), progress=False)
    assert 0 <= run.stats.seed[0] < 2**32


def test_a_form_takes_them_exactly(studio):
    form = studio.form(dice())
    form.values = {"dice.seed": GREATEST}
    assert form.values["dice.seed"] == GREATEST
    for wrong in (-1, 2**64):
        with pytest.raises(nb.NbgraphError, match=f"takes a whole number from 0 to {GREATEST}, not {wrong}"):
            form.values = {"dice.seed": wrong}


def test_what_is_typed_into_the_seed_of_a_form_is_read_exactly_or_refused(studio):
    control = studio.form(dice())._controls["dice.seed"]
    control.number.value = str(GREATEST - 2)
    assert control.value == GREATEST - 2
    for wrong in ("-1", "1e5", "", "18446744073709551616", "9" * 10_000):
        control.number.value = wrong
        with pytest.raises(ValueError, match="dice.seed: takes a whole number from 0"):
            _ = control.value


def test_a_page_gets_what_it_would_round_as_texts_and_gives_them_back():
    value = {"value": [1, 2**53 - 1, 2**53, -(2**60), GREATEST, True, 1e300, "9007199254740993"]}
    sent = json.loads(json.dumps(to_page(value)))
    assert sent["value"][2:5] == [{"$int": str(2**53)}, {"$int": str(-(2**60))}, {"$int": str(GREATEST)}]
    assert from_page(sent) == value
    for wrong in ({"$int": "1.5"}, {"$int": 7}, {"$int": "9" * 10_000}):
        with pytest.raises(ValueError, match="not an integer"):
            from_page(wrong)


def test_the_canvas_shows_and_edits_them_exactly():
    document = GraphDocument(Graph.of(dice()))
    shown = ShownDocument(document).snapshot([])
    assert ["input", "dice", "seed", {"value": {"$int": str(GREATEST)}}] in shown["changes"]
    (limit,) = [one["max"] for one in shown["types"]["rand_int"]["inputs"] if one["name"] == "seed"]
    assert limit == {"$int": str(GREATEST)}
    edit = read_changes([["input", "dice", "seed", {"value": {"$int": str(GREATEST - 1)}}]])
    assert edit == [Change("input", "dice", "seed", {"value": GREATEST - 1})]
    document.edit(edit, document.revision, "canvas")
    assert document.graph.nodes["dice"].seed == GREATEST - 1
