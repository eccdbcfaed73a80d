"""`studio.images.add`: a picture of one's own becomes what nodes take."""

import numpy as np
import pytest
from PIL import Image

from nbgraph import Studio
from nbgraph.errors import ImageModeError, NbgraphError
from nbgraph.invocations import BlankImage, ImageChannel
from nbgraph.invocations.fields import ImageField


@pytest.fixture(params=["memory", "folder"])
def studio(request, tmp_path):
    with Studio(None if request.param == "memory" else tmp_path / "studio") as studio:
        yield studio


def picture(mode: str = "RGB") -> Image.Image:
    return Image.linear_gradient("L").resize((30, 20)).convert(mode)


def test_a_picture_is_an_input_of_a_node(studio):
    added = studio.images.add(picture())
    assert isinstance(added, ImageField)
    run = studio.run(ImageChannel(id="red", image=added, channel="R"), progress=False)
    assert run["red"].image.tobytes() == picture().getchannel("R").tobytes()
    again = studio.run(ImageChannel(image=studio.images.add(picture()), channel="R"), progress=False)
    assert again.stats.cached.all(), "the same pixels are the same picture"


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_the_path_of_a_file_does_as_well(studio, tmp_path, kind):
    picture("RGBA").save(tmp_path / "apple.png")
    added = studio.images.add(kind(tmp_path / "apple.png"))
    assert studio.images.get(added.image_name).tobytes() == picture("RGBA").tobytes()


def test_a_file_is_turned_upright(studio, tmp_path):
    facts = Image.Exif()
    facts[0x0112] = 6
    picture().save(tmp_path / "phone.jpg", exif=facts)
    assert studio.images.get(studio.images.add(tmp_path / "phone.jpg").image_name).size == (20, 30)


@pytest.mark.parametrize(("mode", "kept"), [("CMYK", "RGB"), ("P", "RGB"), ("1", "L"), ("I;16", "L")])
def test_modes_that_nodes_do_not_know_are_converted(studio, mode, kept):
    given = picture("L").convert("I").convert("I;16") if mode == "I;16" else picture("L").convert(mode)
    assert studio.images.get(studio.images.add(given).image_name).mode == kept


def test_what_a_picture_of_numbers_is_told_to_do_gives_its_greys(studio):
    greys = picture("F").point(lambda value: value / 255)
    added = studio.images.add(greys.point(lambda value: value * 255 + 0.5).convert("L"))
    assert studio.images.get(added.image_name).tobytes() == picture("L").tobytes()


@pytest.mark.parametrize(("mode", "colour", "kept"), [("RGB", (255, 0, 0), "RGBA"), ("L", 7, "LA")])
def test_a_colour_that_a_file_calls_transparent_stays_transparent(studio, tmp_path, mode, colour, kept):
    Image.new(mode, (2, 1), colour).save(tmp_path / "clear.png", transparency=colour)
    for given in (tmp_path / "clear.png", Image.open(tmp_path / "clear.png")):
        added = studio.images.get(studio.images.add(given).image_name)
        assert (added.mode, added.getchannel("A").getextrema()) == (kept, (0, 0))


def test_what_is_said_of_a_picture_is_found_again(studio):
    metadata = {"title": "an Äpfelchen", "size": [1, 2.5]}
    name = studio.images.add(picture(), category="mask", metadata=metadata).image_name
    other = studio.images.add(picture()).image_name
    record = studio.services.images.record(name)
    assert (record.category, record.metadata) == ("mask", metadata)
    assert studio.images.search("äpfel").image_name.tolist() == [name]
    assert studio.services.images.record(other).category == "user"
    assert not record.is_intermediate
    assert studio.images.delete_intermediates() == 0


def test_a_search_finds_every_picture_however_many_there_are():
    with Studio() as studio:
        for number in range(1002):
            studio.services.images.save(Image.new("1", (1, 1)), node_id="apple" if number else "pear")
        assert len(studio.images.search("apple")) == 1001
        assert len(studio.images.frame) == 1002


def test_changing_the_picture_afterwards_changes_nothing(studio):
    given = picture()
    name = studio.images.add(given).image_name
    given.paste(0, (0, 0, 30, 20))
    assert studio.images.get(name).tobytes() == picture().tobytes()


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        (np.zeros((4, 4, 3)), {}, "ndarray is not an image.*Image.fromarray"),
        (None, {}, "NoneType is not an image"),
        (Image.new("RGB", (0, 7)), {}, "0 x 7 pixels"),
        (picture("F"), {}, r"mode 'F' cannot be stored; scale its values from 0..1 with .*convert\('L'\)"),
        ("no-such-file.png", {}, "'no-such-file.png' does not exist"),
        (picture(), {"category": "masks"}, "no category 'masks'; did you mean 'mask'"),
        (picture(), {"metadata": [1]}, "metadata is a list; give a dict"),
        (picture(), {"metadata": {"seed": {1, 2}}}, r"metadata 'seed' \(set\) is not JSON"),
        (picture(), {"metadata": {"x": float("nan")}}, r"metadata 'x' \(float\) is not JSON"),
        (picture(), {"metadata": {"x": (1, 2)}}, r"metadata 'x' \(tuple\) is not JSON"),
        (picture(), {"metadata": {7: "x"}}, "metadata 7"),
        (picture(), {"metadata": {"x": ["\ud800"]}}, r"metadata 'x' \(list\) holds '\\ud800', half of a character"),
        (picture(), {"metadata": {"\ud800": 1}}, r"metadata '\\ud800' \(int\) holds '\\ud800', half of a"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_what_to_do(studio, given, options, said):
    with pytest.raises(NbgraphError, match=said):
        studio.images.add(given, **options)
    assert studio.images.count == 0


def test_files_that_are_no_pictures_are_refused(studio, tmp_path):
    picture().save(tmp_path / "whole.png")
    torn = (tmp_path / "whole.png").read_bytes()[:-40]
    for name, data in (
        ("a.png", b"%PDF-1.7"),
        ("b.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
        ("c.png", torn),
        ("d.png", b""),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(NbgraphError, match="not an image|damaged"):
            studio.images.add(tmp_path / name)
    with open(tmp_path / "c.png", "rb") as file, pytest.raises(NbgraphError, match="cannot be read"):
        studio.images.add(Image.open(file))
    assert studio.images.count == 0


def test_the_service_itself_still_refuses_modes_it_cannot_keep(studio):
    with pytest.raises(ImageModeError):
        studio.services.images.save(picture("CMYK"))


def test_pictures_of_a_folder_are_told_by_the_path_they_have_there(studio):
    name = studio.images.add(picture()).image_name
    path = studio.services.images.path(name)
    if studio.folder is None:
        assert path is None
    else:
        assert path.is_relative_to(studio.folder)
        assert Image.open(path).tobytes() == picture().tobytes()


def test_a_node_whose_picture_was_deleted_is_said_to_have_lost_its_result(studio):
    def because(width: int) -> str:
        return studio.explain(BlankImage(id="page", width=width)).because[0]

    names = [studio.run(BlankImage(id="page", width=width), progress=False)["page"].image_name for width in (8, 16)]
    studio.images.delete(names[0])
    assert because(8) == "its result was dropped when the picture or tensors it names were deleted"
    assert because(24) == "page.width 16 -> 24"
    studio.run(BlankImage(id="page", width=8), progress=False)
    assert because(8) == "cached"
    studio.cache.clear()
    assert because(8) == "it has not run before"
