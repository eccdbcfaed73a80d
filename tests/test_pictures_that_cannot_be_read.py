"""Displays of a studio whose picture files are gone or damaged show the others, and say what is wrong with these."""

from io import BytesIO

import pytest
from PIL import Image, ImageColor

from nbgraph import Studio
from nbgraph.errors import ResourceFileError
from nbgraph.experiments.sheet import BLANK, MARGIN
from nbgraph.invocations import BlankImage, Iterate
from nbgraph.sweep import Sweep
from nbgraph.widgets.pictures import newest_pictures, thumbnails
from nbgraph.widgets.run_view import RunView
from tests.widgets.panel_page import PanelPage


@pytest.fixture(params=["missing", "damaged"])
def why(request):
    return request.param


@pytest.fixture
def studio(tmp_path):
    with Studio(tmp_path / "studio") as studio:
        yield studio


def page() -> BlankImage:
    return BlankImage(id="page", width=100, height=Iterate(id="each", collection=[100, 120]))


def spoil(studio: Studio, name: str, why: str) -> None:
    path = studio.services.images.path(name)
    data = path.read_bytes()
    path.unlink()
    if why == "damaged":
        path.write_bytes(data[:-9])


@pytest.fixture
def run(studio, why):
    """A run of two pictures, the first of which can no longer be read."""
    run = studio.run(page(), progress=False)
    spoil(studio, run.outputs("page")[0].image_name, why)
    return run


def test_the_pictures_of_a_studio_show_one_that_cannot_be_read_as_that_word(studio, run, why):
    html = studio.images._repr_mimebundle_()["text/html"]
    assert (html.count(f">{why}<"), html.count("<img ")) == (1, 1)


def test_the_pictures_of_a_run_leave_it_out_and_count_it(run, why):
    assert [picture.size for picture in run.images] == [(100, 120)]
    assert f">1 picture, 1 {why}</span>" in run.images._repr_html_()


def test_a_run_shows_the_others_and_that_word_in_its_place(run, why):
    bundle = run._repr_mimebundle_()
    assert (bundle["text/html"].count(f">{why}<"), bundle["text/html"].count("<img ")) == (1, 1)
    assert bundle["image/png"]


def test_a_run_without_any_other_has_no_picture_to_show(studio, run, why):
    spoil(studio, run.outputs("page")[1].image_name, why)
    bundle = run._repr_mimebundle_()
    assert bundle["text/html"].count(f">{why}<") == 2
    assert "image/png" not in bundle


def test_a_result_says_what_became_of_its_picture(run, why):
    bundle = run.outputs("page")[0]._repr_mimebundle_()
    assert {"missing": "is missing; restore it", "damaged": "is not what was saved"}[why] in bundle["text/plain"]
    assert "image/png" not in bundle


def first_cell(grid: Sweep) -> Image.Image:
    sheet = Image.open(BytesIO(grid._repr_png_()))
    top = sheet.height - MARGIN - 100
    return sheet.crop((0, top, 100, top + 100))


def test_its_cell_of_a_sweep_says_so(studio, why):
    grid = studio.sweep(BlankImage(id="page", height=100), {"page.width": [100, 120]}, progress=False)
    name = grid.frame.image_name[0]
    spoil(studio, name, why)
    assert [picture and picture.size for picture in grid.images] == [None, (120, 100)]
    empty = first_cell(grid)
    studio.images.delete(name)
    deleted = first_cell(grid)
    assert empty.getpixel((2, 2)) == deleted.getpixel((2, 2)) == ImageColor.getrgb(BLANK)
    assert empty.tobytes() != deleted.tobytes(), "the words differ"


def test_a_view_of_the_run_opens_with_the_others(run):
    answer, buffers = PanelPage(RunView(run)).ask({"type": "ready"})
    assert answer["type"] != "refused"
    assert len(buffers) == 1


def test_the_editor_offers_the_others(studio, run):
    lost, other = (result.image_name for result in run.outputs("page"))
    assert list(newest_pictures(studio.services.images)) == [other]
    assert list(thumbnails(studio.services.images, [lost, other])) == [other]


def test_the_picture_itself_is_still_an_error(studio, run):
    with pytest.raises(ResourceFileError):
        studio.images.get(run.outputs("page")[0].image_name)
