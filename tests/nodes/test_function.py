"""A typed function becomes a node: its inputs, its outputs, its place in the cache, and what it refuses."""

import inspect
from typing import Annotated, Literal, NamedTuple

import pytest
from PIL import Image as PillowImage
from pydantic import Field

import nbgraph as nb
from nbgraph.errors import GraphError
from nbgraph.invocations import Add
from nbgraph.invocations.fields import ImageField, Seed
from nbgraph.invocations.inputs import RandomSeed
from nbgraph.invocations.outputs import FloatOutput

GREY = PillowImage.new("RGB", (6, 4), (100, 100, 100))


@nb.node
def brighten(image: nb.Image, by: float = 1.2) -> nb.Image:
    """A picture made brighter."""
    return image.point(lambda value: min(255, round(value * by)))


def test_a_picture_goes_in_and_a_picture_comes_out(put, result):
    found = result(brighten(image=put(GREY), by=1.5))
    assert found.image.getpixel((0, 0)) == (150, 150, 150)
    assert (found.width, found.height) == (6, 4)


def test_inputs_may_be_given_by_their_places(put, result):
    assert result(brighten(put(GREY), 2)).image.getpixel((0, 0)) == (200, 200, 200)


def test_the_function_itself_is_kept():
    assert brighten.function(GREY, by=2).getpixel((0, 0)) == (200, 200, 200)


def test_the_node_has_the_functions_name_docstring_and_signature():
    assert (brighten.type, brighten.title, brighten.__doc__) == ("brighten", "Brighten", "A picture made brighter.")
    assert list(inspect.signature(brighten).parameters)[:2] == ["image", "by"]
    assert nb.registry()["brighten"] is brighten


def test_too_many_or_doubled_inputs_are_refused():
    with pytest.raises(GraphError, match=r"takes 2 inputs \(image, by\), and 3 were given"):
        brighten(None, 1, 2)
    with pytest.raises(GraphError, match="given twice"):
        brighten(None, 1, by=2)


def test_a_pil_image_is_refused_with_the_remedy():
    with pytest.raises(GraphError, match=r"LoadImage\(path=...\).*brighten\.function"):
        brighten(GREY)


def test_limits_choices_and_defaults_are_kept():
    @nb.node
    def limited(
        a: Annotated[int, Field(ge=0, le=3)], b: float = Field(0.5, gt=0), c: Literal["x", "y"] = "x", seed: Seed = None
    ) -> str:
        return f"{a} {b} {c}"

    with pytest.raises(GraphError, match=r"limited\.a: .*less than or equal to 3"):
        limited(a=4)
    with pytest.raises(GraphError, match=r"limited\.c"):
        limited(a=1, c="z")
    specs = limited.inputs()
    assert (specs["a"].required, specs["b"].default, specs["c"].default) == (True, 0.5, "x")
    assert specs["seed"].seed
    assert any(isinstance(mark, RandomSeed) for mark in specs["seed"].info.metadata)


def test_a_seed_left_open_is_drawn_and_recorded(studio):
    @nb.node
    def lucky(seed: Seed = None) -> int:
        return seed

    node = lucky()
    run = studio.run(node, progress=False)
    assert run[node].value == run.stats.seed.iloc[0]


@pytest.mark.parametrize(
    ("annotation", "value", "output"),
    [
        (int, 3, "value"),
        (float, 0.5, "value"),
        (str, "a", "value"),
        (bool, True, "value"),
        (dict[str, int], {"a": 1}, "value"),
        (list[int], [1, 2], "collection"),
        (list, [1, "a"], "collection"),
        (list[dict[str, float]], [{"a": 0.5}], "collection"),
        (int | None, None, "value"),
        (Literal["a", "b"], "b", "value"),
    ],
)
def test_each_type_comes_out_under_the_name_it_has_elsewhere(result, annotation, value, output):
    def gives():
        return value

    gives.__annotations__ = {"return": annotation}
    assert getattr(result(nb.node(gives, use_cache=False)()), output) == value


def test_a_named_tuple_names_the_outputs(put, result):
    class Halves(NamedTuple):
        left: nb.Image
        right: nb.Image
        middle: int

    @nb.node
    def halves(image: nb.Image) -> Halves:
        middle = image.width // 2
        cut = middle, image.height
        return Halves(image.crop((0, 0, *cut)), image.crop((middle, 0, image.width, image.height)), middle)

    node = halves(put(GREY))
    assert halves.outputs() == {"left": ImageField, "right": ImageField, "middle": int}
    assert result(Add(a=node, b=1)).value == 4
    assert result(node).left.size == (3, 4)


def test_an_output_class_is_returned_as_it_is(result):
    @nb.node
    def half(value: int) -> FloatOutput:
        return FloatOutput(value=value / 2)

    assert half.output_class is FloatOutput
    assert result(half(3)).value == 1.5


def test_pictures_inside_lists_are_opened_and_saved(put, result):
    @nb.node
    def turned(images: list[nb.Image], mask: nb.Image | None = None) -> list[nb.Image]:
        assert mask is None
        return [image.rotate(90, expand=True) for image in images]

    names = [put(GREY).image, put(GREY).image]
    assert [picture.size for picture in result(turned(images=names)).collection] == [(4, 6), (4, 6)]


def test_the_context_is_handed_in_and_is_no_input(studio, result):
    @nb.node
    def steps(context: nb.InvocationContext, count: int = 3) -> str:
        for step in range(count):
            context.progress(step + 1, count)
        return context.prepared_id

    assert list(steps.inputs()) == ["count"]
    assert result(steps(2)).value == "steps"


def test_options_reach_the_class():
    @nb.node(type="my-own", version="2.0.0", use_cache=False, title="My own", category="mine")
    def something(value: int = 1) -> int:
        return value

    assert (something.type, something.version, something.cached_by_default) == ("my-own", "2.0.0", False)
    assert (something.title, something.category, something.__name__) == ("My own", "mine", "something")


def test_a_graph_with_a_function_node_goes_to_json_and_back(put):
    graph = nb.Graph.of(brighten(put(GREY), 2.0))
    assert nb.Graph.from_json(graph.to_json()) == graph
    assert "brighten(id='brighten', image=image, by=2.0)" in graph.to_python()


def test_the_second_run_comes_from_the_cache_and_new_code_runs_again(studio):
    calls = []

    def define(factor: int):
        @nb.node
        def scaled(value: int) -> int:
            calls.append(factor)
            return value * factor

        return scaled

    for factor in (2, 2, 3, 2):
        node = define(factor)(value=5)
        assert studio.run(node, progress=False)[node].value == 5 * factor
    assert calls == [2, 3]


def test_enclosed_functions_and_defaults_are_part_of_the_code(studio):
    def define(inner, step: int):
        @nb.node
        def applied(value: int, step: int = step) -> int:
            return inner(value) + step

        return applied

    def run(node):
        return studio.run(node, progress=False).stats.cached.iloc[0]

    assert not run(define(lambda value: value + 1, 1)(5))
    assert run(define(lambda value: value + 1, 1)(5))
    assert not run(define(lambda value: value + 2, 1)(5))
    assert not run(define(lambda value: value + 2, 2)(5))


def test_a_node_defined_in_a_cell_runs_again_when_it_is_defined_again(studio):
    interactiveshell = pytest.importorskip("IPython.core.interactiveshell")
    shell = interactiveshell.InteractiveShell.instance()
    try:
        shell.push({"studio": studio})

        def cell(text: str):
            outcome = shell.run_cell(text, store_history=True)
            outcome.raise_error()
            return outcome.result

        define = "import nbgraph as nb\n@nb.node\ndef cell_node(value: int = 1) -> int:\n    return value + {}"
        run = "run = studio.run(cell_node(), progress=False); (run['cell_node'].value, bool(run.stats.cached.iloc[0]))"
        cell(define.format(1))
        assert cell(run) == (2, False)
        assert cell(run) == (2, True)
        cell(define.format(10))
        assert cell(run) == (11, False)
        cell(define.format(1))
        assert cell(run) == (2, True)
    finally:
        interactiveshell.InteractiveShell.clear_instance()
