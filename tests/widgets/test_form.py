"""Forms: the right control for each input, values by name, runs, and errors under the form."""

from datetime import UTC, datetime
from io import BytesIO
from typing import Annotated, Any, Literal

import ipywidgets as widgets
import pytest
from ipywidgets.widgets.widget import _instances as open_widgets
from PIL import Image as PillowImage
from pydantic import Field

from nbgraph.errors import GraphError, NotFoundError
from nbgraph.invocations import Add, Multiply
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.inputs import RandomSeed
from nbgraph.invocations.outputs import StringOutput
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph
from nbgraph.widgets.form import GraphForm
from nbgraph.widgets.form_controls import SeedControl

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = "<img src=x onerror=planted=1><script>planted=1</script>"


@invocation("test_every_kind", title="Every kind")
class EveryKind(BaseInvocation):
    """One input of each kind."""

    prompt: str = ""
    name: str = "a name"
    size: Annotated[int, Field(ge=1, le=64, multiple_of=8)] = 16
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    count: int = 3
    width: int | None = None
    ready: bool = False
    way: Literal["near", "far"] = "far"
    seed: Annotated[int | None, Field(ge=0), RandomSeed()] = None
    sizes: list[int] = [1, 2]
    wrong: str = ""

    def invoke(self, context: InvocationContext) -> StringOutput:
        if self.wrong:
            raise ValueError(self.wrong)
        return StringOutput(value=f"{self.prompt} {self.size} {self.way} {self.sizes}")


@invocation("test_slow", title="Slow")
class Slow(BaseInvocation):
    """Steps before the prompt."""

    steps: Annotated[int, Field(ge=1, le=1000)] = 20
    prompt: str = ""

    def invoke(self, context: InvocationContext) -> StringOutput:
        return StringOutput(value=self.prompt)


@pytest.fixture
def form(studio):
    made = studio.form(Graph([EveryKind(id="all")]))
    yield made
    made.close()


def control(form: GraphForm, name: str) -> Any:
    return form._controls[name]


def said(form: GraphForm) -> str:
    return form._view._problem


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("prompt", widgets.Textarea),
        ("name", widgets.Text),
        ("size", widgets.IntSlider),
        ("share", widgets.FloatSlider),
        ("count", widgets.BoundedIntText),
        ("ready", widgets.Checkbox),
        ("way", widgets.Dropdown),
    ],
)
def test_each_kind_of_input_has_its_control(form, name, kind):
    assert type(control(form, f"all.{name}").widget) is kind


def test_limits_and_choices_come_from_the_field(form):
    slider, way = control(form, "all.size").widget, control(form, "all.way").widget
    assert (slider.min, slider.max, slider.step, slider.value) == (1, 64, 8, 16)
    assert (way.options, way.value) == (("near", "far"), "far")


def test_what_may_be_left_open_has_a_tick_and_a_seed_has_a_die(form):
    width, seed = control(form, "all.width"), control(form, "all.seed")
    assert form.values["all.width"] is None
    assert form.values["all.seed"] is None
    width.open.value = False
    width.number.value = 256
    seed.die.click()
    assert form.values["all.width"] == 256
    assert isinstance(form.values["all.seed"], int)
    assert isinstance(seed, SeedControl)
    assert seed.die in seed.widget.children
    assert not any(isinstance(child, widgets.Button) for child in width.widget.children)


def test_a_number_with_wide_limits_has_a_slider_over_what_is_usual_and_takes_any_value_beside_it(studio):
    form = studio.form(Graph([Slow(id="slow")]))
    steps = control(form, "slow.steps")
    assert (steps.slider.min, steps.slider.max, steps.number.max) == (1, 60, 1000)
    steps.number.value = 400
    assert (form.values["slow.steps"], steps.slider.value) == (400, 60)
    steps.slider.value = 30
    assert (form.values["slow.steps"], steps.number.value) == (30, 30)
    form.values = {"slow.steps": 500}
    assert form.values["slow.steps"] == 500
    with pytest.raises(GraphError, match="from 1 to 1000, not 1001"):
        form.values = {"slow.steps": 1001}
    form.close()


def test_a_number_that_may_be_left_open_is_disabled_while_it_is(studio):
    form = studio.form("text to image")
    steps = control(form, "steps")
    steps.value = None
    assert (form.values["steps"], steps.number.disabled) == (None, True)
    steps.open.value = False
    assert (form.values["steps"], steps.number.disabled) == (steps.number.value, False)
    form.close()


def test_what_to_draw_is_typed_above_everything_else(studio):
    form = studio.form(Graph([Slow(id="slow")]))
    inputs = form.children[-1].children[0]
    assert isinstance(inputs.children[0], widgets.Textarea)
    assert inputs.children[0].description == "slow.prompt"
    form.close()


def test_a_negative_prompt_says_that_it_takes_what_is_not_wanted(studio):
    form = studio.form("text to image")
    hints = [control(form, name).widget.placeholder for name in ("prompt", "negative_prompt")]
    assert [hint.startswith("What the image should not show") for hint in hints] == [False, True]
    form.close()


def test_values_are_set_by_name_and_an_unknown_name_lists_those_there_are(form):
    form.values = {"all.prompt": "a red apple", "all.size": 32, "all.seed": 7}
    assert (form.values["all.prompt"], form.values["all.size"], form.values["all.seed"]) == ("a red apple", 32, 7)
    with pytest.raises(NotFoundError, match=r"no input 'all\.promt'; did you mean 'all\.prompt'"):
        form.values = {"all.promt": "x", "all.size": 8}
    assert form.values["all.size"] == 32


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("seed", -1, r"takes a whole number from 0 to \d+, not -1"),
        ("seed", 2**64, f"not {2**64}"),
        ("size", 0, "takes a whole number from 1 to 64, not 0"),
        ("size", 3.7, "a whole number .*, not 3.7"),
        ("size", True, "not True"),
        ("share", float("nan"), "takes a number from 0.0 to 1.0, not nan"),
        ("share", "0.5", "not '0.5'"),
        ("count", "three", "not 'three'"),
        ("count", None, "not None"),
        ("way", "nea", "cannot be 'nea'; did you mean 'near'"),
        ("ready", "yes", "takes a boolean, not 'yes'"),
        ("prompt", 5, "takes a unicode string, not 5"),
        ("sizes", 5, r"takes a list of plain values, such as \[1, 2, 3\], not 5"),
        ("sizes", "12", "not '12'"),
    ],
)
def test_a_value_that_an_input_does_not_take_is_refused_with_its_name_and_nothing_is_set(form, name, value, said):
    before = form.values
    with pytest.raises(GraphError, match=f"all.{name}: .*{said}") as caught:
        form.values = {"all.name": "new", f"all.{name}": value, "all.width": "wide"}
    assert "all.width: takes a whole number" in str(caught.value)
    assert form.values == before


@pytest.mark.parametrize("target", [Graph([EveryKind(id="all")]), "text to image", "image to image"])
def test_the_values_of_a_form_can_be_set_to_themselves(studio, target):
    form = studio.form(target)
    before = form.values
    form.values = before
    assert form.values == before
    form.close()


@pytest.mark.parametrize("value", [None, 5, "0" * 32, "apple.png"])
def test_a_picture_that_the_studio_does_not_hold_is_refused(studio, value):
    form = studio.form("image to image")
    with pytest.raises(GraphError, match="image: (there is no picture|takes a picture of the studio)"):
        form.values = {"image": value}
    assert "image" not in form.values
    form.close()


def test_it_runs_with_what_is_typed_and_shows_the_run(form):
    form.values = {"all.prompt": "two", "all.size": 24, "all.way": "near", "all.sizes": [5]}
    run = form.run().wait(20)
    assert run["all"].value == "two 24 near [5]"
    assert form._view._run is run


def test_the_buttons_run_and_cancel(form, studio):
    studio.services.processor.pause()
    form._run_button.click()
    assert (form._run_button.disabled, form._cancel_button.disabled) == (True, False)
    form._cancel_button.click()
    run = form._current.wait(20)
    assert run.status == "cancelled"
    studio.services.processor.resume()


def test_an_error_of_a_click_is_shown_under_the_form_as_text(form):
    control(form, "all.sizes").widget.value = f"[{HOSTILE}"
    form._run_button.click()
    assert "is not a list; write [1, 2, 3]" in said(form)
    assert HOSTILE in said(form)
    with pytest.raises(ValueError, match="is not a list"):
        form.run()


def test_an_error_of_a_node_is_shown_with_the_node(form):
    form.values = {"all.wrong": HOSTILE}
    run = form.run().wait(20)
    form._view.refresh()
    problem, place = form._view._everything()[0]["problem"].split("\n  at: ")
    assert problem == f"all: ValueError: {HOSTILE}"
    assert place.endswith("in EveryKind.invoke: raise ValueError(self.wrong)")
    assert run.status == "failed"


def test_what_is_saved_of_a_form_escapes_what_was_typed(form):
    form.values = {"all.prompt": HOSTILE}
    html = form._repr_mimebundle_()[0]["text/html"]
    assert "<script" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("name", ["text to image", "Text to Image", "text_to_image", "text-to-image"])
def test_a_library_graph_is_found_by_name_however_it_is_written(studio, name):
    form = studio.form(name)
    assert list(form.values) == [
        "prompt", "negative_prompt", "width", "height", "seed", "steps", "cfg_scale", "scheduler", "model",
    ]  # fmt: skip
    assert form.values["model"] == "emoji"
    form.close()


@pytest.fixture
def ten_times():
    inner = Graph.of(Multiply(id="product", a=Add(id="sum", a=1, b=2), b=10))
    return LibraryGraph("ten times", inner, [Exposed("over", "product", "a")], [Exposed("out", "product", "value")])


def test_what_is_linked_inside_says_so_and_stays_linked_until_its_tick_is_taken_off(studio, ten_times):
    for target, name in ((ten_times, "over"), (Graph([ten_times.node_class()(id="graph")]), "graph.over")):
        form = studio.form(target)
        over = control(form, name)
        assert (form.values, over.linked.value, over.control.widget.layout.display) == ({}, True, "none")
        assert product(form) == 30
        over.linked.value = False
        assert over.control.widget.layout.display is None
        form.values = {name: 4}
        assert product(form) == 40
        form.values = {name: None}
        assert product(form) == 30
        form.close()


def product(form: GraphForm) -> Any:
    run = form.run().wait(20)
    return next(vars(output)["value"] for ran, output in run.session.results() if ran.id.endswith("product"))


def test_an_unknown_name_is_an_error_that_names_the_nearest_or_lists_all(studio):
    with pytest.raises(NotFoundError, match=r"no graph 'text to imaeg'; did you mean 'text to image'"):
        studio.form("text to imaeg")
    with pytest.raises(NotFoundError, match=r"no graph 'a film' \(possible: .*image to image, .*text to image"):
        studio.form("a film")


def test_a_picture_is_uploaded_and_one_that_is_none_is_refused(studio):
    form = studio.form("image to image")
    upload = control(form, "image").upload
    data = BytesIO()
    PillowImage.new("RGB", (40, 30), "red").save(data, "PNG")
    file = {"name": "a.png", "type": "image/png", "size": 3, "content": b"<svg onload=planted=1>", "last_modified": NOW}
    upload.value = (file,)
    assert "not an image that can be read" in said(form)
    assert "image" not in form.values
    with pytest.raises(GraphError, match="image"):
        form.run()
    upload.value = ({**file, "content": data.getvalue()},)
    assert studio.services.images.get(form.values["image"].image_name).size == (40, 30)
    form.close()


def test_a_closed_form_leaves_no_widget(studio, ten_times):
    studio.form("image to image").close()
    before = set(open_widgets)
    studio.form("image to image").close()
    studio.form(ten_times).close()
    assert set(open_widgets) == before
