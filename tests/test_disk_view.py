"""`studio.disk`: what takes how much, and how each part is freed."""

import pytest
from pictures import apple
from PIL import Image

import nbgraph as nb
from nbgraph.errors import ChoiceError

PARTS = ["pictures", "starred pictures", "intermediates", "cache", "runs", "stats"]
FILES = ["thumbnails", "backups", "database"]


@pytest.fixture(scope="module", params=["memory", "folder"])
def studio(request, tmp_path_factory):
    """A studio with something of every part."""
    folder = tmp_path_factory.mktemp("disk") / "studio" if request.param == "folder" else None
    with nb.Studio(folder, nb.Settings(picture_days=7)) as studio:
        studio.run(apple(), progress=False)
        studio.images.star(studio.images.add(Image.new("RGB", (64, 64))).image_name)
        for name in studio.images.frame.image_name:
            studio.services.images.thumbnail(name)
        yield studio


def part(studio, name):
    frame = studio.disk.frame
    return frame[frame.part == name].iloc[0]


def test_every_part_has_a_row_with_its_limit(studio):
    frame = studio.disk.frame
    assert list(frame.part) == PARTS + (FILES if studio.folder else [])
    assert (frame[~frame.part.isin(["backups"])]["bytes"] > 0).all()
    assert part(studio, "pictures").limit_days == 7
    assert part(studio, "intermediates").limit_bytes == 8 * 2**30
    assert part(studio, "pictures")["count"] == part(studio, "starred pictures")["count"] == 1


def test_it_shows_itself_as_a_table(studio):
    assert repr(studio.disk).startswith("Disk(")
    assert ">starred pictures</td>" in studio.disk._repr_html_()


def test_an_unknown_part_is_named_before_anything_is_freed(studio):
    with pytest.raises(ChoiceError, match="'intermediates'"):
        studio.disk.free("cache", "tensor")
    assert len(studio.cache) > 0


@pytest.mark.parametrize("name", ["stats", "runs", "cache", "intermediates", "pictures", "starred pictures"])
def test_each_part_is_freed_by_its_name(studio, name):
    studio.disk.free(name)
    assert part(studio, name)["count"] == 0


def test_the_files_of_a_folder_are_freed(studio):
    if studio.folder is None:
        pytest.skip("a studio in memory has no files")
    studio.disk.free("thumbnails", "backups", "database")
    assert part(studio, "thumbnails")["count"] == 0
    assert studio.services.database.row("PRAGMA freelist_count") == (0,)
