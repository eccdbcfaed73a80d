"""What can be made of a run that a cell shows: its graph on a canvas, a picture as input, another seed, its code."""

import pytest
from IPython.display import DisplayHandle
from ipywidgets.widgets.widget import _instances
from widgets.panel_page import PanelPage

from nbgraph import notebook
from nbgraph.invocations import Add, BlankImage, Iterate, RandomInteger, Range
from nbgraph.widgets.run_remix import RunRemix
from nbgraph.widgets.run_static import static_bundle

HOSTILE = '"><script>planted=1</script>'


@pytest.fixture
def page(studio):
    """The page of the widget that remixes the runs of a studio."""
    remix = RunRemix(studio._remix)
    yield PanelPage(remix)
    remix.close()


@pytest.fixture
def drawn(studio):
    """A run that gave one picture, whose width was drawn by a seed."""
    width = RandomInteger(id="number", low=8, high=500)
    return studio.run(BlankImage(id="blank", width=width, height=8), progress=False)


def seed_of(run):
    """The one seed that a run has drawn."""
    [seeds] = run.session.seeds.values()
    return seeds["seed"]


def test_a_run_with_a_picture_offers_all_and_its_code_has_the_seed_that_was_drawn(page, drawn):
    answer, _ = page.ask({"type": "offers", "run": drawn.id})
    assert answer["ways"] == ["canvas", "input", "again"]
    assert f"seed={seed_of(drawn)}" in answer["python"]


def test_what_makes_no_sense_for_a_run_is_not_offered(studio, page):
    total = studio.run(Add(id="sum", a=1, b=2), progress=False)
    assert page.ask({"type": "offers", "run": total.id})[0]["ways"] == ["canvas"]
    many = BlankImage(id="blank", width=Iterate(collection=Range(start=8, stop=10)), height=8)
    assert page.ask({"type": "offers", "run": studio.run(many, progress=False).id})[0]["ways"] == ["canvas"]


def test_the_canvas_of_a_run_gives_the_same_result_again(studio, page, drawn):
    answer, _ = page.ask({"type": "canvas", "run": drawn.id})
    editor = _instances[answer["model"]]
    assert studio.run(editor.graph, progress=False)["number"].value == drawn["number"].value
    editor.close()


def test_a_run_without_a_picture_keeps_the_seed_that_was_drawn(studio, page):
    run = studio.run(RandomInteger(id="number", low=0, high=10**9), progress=False)
    assert f"seed={seed_of(run)}" in page.ask({"type": "offers", "run": run.id})[0]["python"]
    editor = _instances[page.ask({"type": "canvas", "run": run.id})[0]["model"]]
    assert studio.run(editor.graph, progress=False)["number"].value == run["number"].value
    editor.close()


def test_a_picture_of_a_run_is_the_input_of_a_new_canvas(page, drawn):
    answer, _ = page.ask({"type": "input", "run": drawn.id})
    editor = _instances[answer["model"]]
    assert editor.graph["start"].image.image_name == drawn["blank"].image_name
    editor.close()


def test_another_seed_is_another_run_in_a_view_that_offers_the_same(studio, page, drawn):
    views = []
    for _ in range(2):
        answer, _ = page.ask({"type": "again", "run": drawn.id})
        views.append(_instances[answer["model"]])
    for view in views:
        view._run.wait(20)
    assert len({seed_of(run) for run in (drawn, *(view._run for view in views))}) == 3
    assert [view.comm is None for view in views] == [True, False]
    assert views[1]._remix == page.widget.model_id
    views[1].close()


@pytest.mark.parametrize("run", ["", "no-such-run", HOSTILE])
def test_a_run_that_is_not_kept_is_refused(page, run):
    for kind in ("offers", "canvas", "input", "again"):
        assert page.ask({"type": kind, "run": run})[0]["type"] == "refused"


def test_an_input_of_a_run_without_a_picture_is_refused(studio, page):
    total = studio.run(Add(id="sum", a=1, b=2), progress=False)
    for kind, why in (("input", "one picture"), ("again", "no seed")):
        answer, _ = page.ask({"type": kind, "run": total.id})
        assert answer["type"] == "refused"
        assert why in answer["message"]


def test_only_a_run_on_a_page_has_a_place_for_buttons(studio, drawn, monkeypatch):
    shown: list[str] = []
    monkeypatch.setattr(DisplayHandle, "display", lambda self, bundle, raw: shown.append(bundle["text/html"]))
    drawn.display()()
    monkeypatch.setattr(notebook, "_openers", {studio})
    drawn.display()()
    assert [f'data-run="{drawn.id}"' in html for html in [static_bundle(drawn)["text/html"], *shown]] == [
        False,
        False,
        True,
    ]
    assert f"nbgraph-remix-{studio.remix_on_page()}" in shown[1]
    studio._run_remix.close()
    assert studio.remix_on_page() in _instances
    studio._run_remix.close()
