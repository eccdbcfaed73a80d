"""What a notebook does with library graphs: they are run themselves, and as nodes of other graphs."""

import pytest
from PIL import Image, ImageChops

from nbgraph.errors import GraphError, NotFoundError
from nbgraph.invocations import Add, If, ModelLoader, Noise
from nbgraph.invocations.fields import ImageField
from nbgraph.services.shared.default_graphs import default_graphs, inpaint, larger_image, outpaint
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph


def either(*outputs: Exposed) -> LibraryGraph:
    """An `if` that takes `yes`, and `no`, which it does not take."""
    yes, no = Add(id="yes", a=1, b=1), Add(id="no", a=2, b=2)
    inner = Graph.of(If(id="if", condition=True, true_input=yes, false_input=no))
    return LibraryGraph("either", inner, [Exposed("way", "if", "condition")], outputs)


def test_what_a_graph_node_did_not_compute_is_told_when_it_is_asked_for_and_the_rest_is_there(studio):
    library = either(Exposed("taken", "if", "value"), Exposed("other", "no", "value"))
    result = studio.run(library.node_class()(id="graph"), progress=False)["graph"]
    assert result.taken == 2
    assert repr(result) == "GraphOutput(taken=2)"
    with pytest.raises(AttributeError, match=r"no 'other' here: graph\.no: its branch was not taken"):
        _ = result.other


def test_a_graph_node_that_gave_nothing_tells_why(studio):
    run = studio.run(either(Exposed("other", "no", "value")).node_class()(id="graph"), progress=False)
    with pytest.raises(NotFoundError, match=r"'graph' has no result: graph\.no: its branch was not taken"):
        _ = run["graph"]


def test_a_library_graph_that_is_run_takes_values_by_the_names_it_exposes_and_by_address(studio):
    library = either(Exposed("taken", "if", "value"))
    run = studio.run(library, {"way": False, "no.a": 5}, progress=False)
    assert run["if"].value == 7
    assert studio.run(library, progress=False)["if"].value == 2
    assert studio.explain(library, {"way": False}).set_index("node").because["if"]


def test_a_name_that_a_library_graph_does_not_expose_is_told_with_the_nearest_it_does(studio):
    with pytest.raises(GraphError, match=r"either.wya: has no input 'wya'; did you mean 'way'\?.*\"node\.field\""):
        studio.run(either(), {"wya": False}, progress=False)


def test_inpaint_changes_only_what_is_masked_and_outpaint_keeps_all_that_was_there(studio):
    picture = Image.linear_gradient("L").resize((96, 80)).convert("RGB")
    mask = Image.new("L", picture.size)
    mask.paste(255, (30, 30, 60, 60))
    quick = {"prompt": "a red apple", "steps": 2, "seed": 7}
    names = (studio.services.images.save(each).image_name for each in (picture, mask))
    image, white = (ImageField(image_name=name) for name in names)
    painted = studio.run(inpaint(), {"image": image, "mask": white, "feather": 4, **quick}, progress=False)
    change = ImageChops.difference(painted["image"].image, picture)
    left, top, right, bottom = change.getbbox()
    assert (left >= 26, top >= 26, right <= 64, bottom <= 64) == (True,) * 4
    drawn = Noise(unet=ModelLoader(model="emoji"), seed=0)
    own = studio.run(drawn, progress=False)[drawn]
    assert painted["decoded"].image.size == (own.width, own.height), "without a size, the model's own"
    beyond = studio.run(outpaint(), {"image": image, "x": -16, "y": -16, **quick}, progress=False)["image"].image
    assert beyond.size == (own.width, own.height)
    kept = (min(own.width - 16, picture.width), min(own.height - 16, picture.height))
    old = beyond.convert("RGB").crop((16, 16, 16 + kept[0], 16 + kept[1]))
    assert old.tobytes() == picture.crop((0, 0, *kept)).tobytes()


def test_hires_fix_draws_twice_as_large(studio):
    values = {"prompt": "a red apple", "width": 32, "height": 32, "steps": 2, "seed": 7}
    assert studio.run(larger_image(), values, progress=False)["image"].image.size == (64, 64)


@pytest.mark.parametrize("name", [graph.name for graph in default_graphs()])
def test_every_library_graph_opens_as_a_form(studio, name):
    form = studio.form(name)
    assert name in repr(form)
    form.close()
