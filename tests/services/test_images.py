"""The contract of the image service, in memory and in a folder."""

import pytest
from hostile import HOSTILE_NAMES
from PIL import Image

from nbgraph.errors import ImageModeError, InvalidNameError, NotFoundError
from nbgraph.services.images.images_base import MODES, ImageServiceBase, picture_content
from nbgraph.services.images.images_common import ImageOrder, ImageQuery
from nbgraph.services.invocation_services import InvocationServices


@pytest.fixture
def images(services: InvocationServices) -> ImageServiceBase:
    return services.images


def picture(shade: int = 0, mode: str = "RGB") -> Image.Image:
    image = Image.linear_gradient("L").resize((20, 12))
    return image.point(lambda value: (value + shade) % 256).convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_comes_back_pixel_by_pixel(images, mode):
    saved = picture(7, "RGB").convert("L").convert("I;16") if mode == "I;16" else picture(7, mode)
    record = images.save(saved)
    loaded = images.get(record.image_name)
    assert (loaded.mode, loaded.size, loaded.tobytes()) == (saved.mode, saved.size, saved.tobytes())
    assert images.content(record.image_name) == picture_content(loaded)


def test_a_mode_that_no_png_holds_is_refused_with_a_remedy(images):
    with pytest.raises(ImageModeError, match="convert"):
        images.save(Image.new("CMYK", (4, 4)))


def test_a_record_tells_what_was_given(images):
    record = images.save(
        picture(),
        category="mask",
        is_intermediate=True,
        session_id="s",
        node_id="l2i[0]",
        metadata={"prompt": "an äpple"},
    )
    found = images.record(record.image_name)
    assert found == record
    assert (found.width, found.height, found.category, found.is_intermediate) == (20, 12, "mask", True)
    assert (found.session_id, found.node_id, found.metadata) == ("s", "l2i[0]", {"prompt": "an äpple"})
    assert len(record.image_name) == 32


def test_who_gets_a_picture_gets_a_copy(images):
    name = images.save(picture()).image_name
    images.get(name).paste(255, (0, 0, 20, 12))
    assert images.get(name).tobytes() == picture().tobytes()


def test_a_picture_changed_after_saving_leaves_the_saved_one(images):
    image = picture()
    name = images.save(image).image_name
    image.paste(255, (0, 0, 20, 12))
    assert images.get(name).tobytes() == picture().tobytes()


def test_pictures_are_listed_newest_first_by_pages(images):
    names = [images.save(picture(shade)).image_name for shade in range(5)]
    first, second = images.list(per_page=3), images.list(page=1, per_page=3)
    assert [r.image_name for r in (*first.items, *second.items)] == names[::-1]
    assert (first.total, first.pages) == (5, 2)
    assert list(images.list(page=9, per_page=3).items) == []


def test_pictures_are_found_by_what_is_known_of_them(images):
    apple = images.save(picture(1), category="user", metadata={"prompt": "Ein Äpfelchen, 100%_rot"}).image_name
    other = images.save(picture(2), session_id="s", is_intermediate=True).image_name
    images.update(other, starred=True)

    def found(**query: object) -> list[str]:
        return [record.image_name for record in images.list(ImageQuery(**query)).items]

    assert found(text="äpfelCHEN") == [apple]
    assert found(text="100%_r") == [apple]
    assert found(text="1%r") == []
    assert found(category="user") == [apple]
    assert found(starred=True) == found(session_id="s") == found(is_intermediate=True) == [other]
    assert found(starred=False, is_intermediate=False) == [apple]
    assert found() == [other, apple]


def test_pictures_are_found_by_their_session_where_a_text_is_looked_for(images):
    made = images.save(picture(1), session_id="made").image_name
    apple = images.save(picture(2), session_id="other", metadata={"prompt": "apple"}).image_name
    images.save(picture(3), session_id="third")
    query = ImageQuery(text="apple", session_ids=frozenset({"made"}))
    assert [record.image_name for record in images.list(query).items] == [apple, made]
    assert images.list(ImageQuery(session_ids=frozenset({"made"}))).total == 3


def test_pictures_come_in_the_order_that_is_asked_for(images):
    sizes = [(8, 8), (32, 8), (16, 16), (8, 8)]
    names = [images.save(Image.new("L", size)).image_name for size in sizes]
    images.update(names[1], starred=True)

    def places(order: ImageOrder) -> list[int]:
        first, second = (images.list(ImageQuery(order=order), page=page, per_page=2).items for page in (0, 1))
        return [names.index(record.image_name) for record in (*first, *second)]

    assert places("newest") == [3, 2, 1, 0]
    assert places("oldest") == [0, 1, 2, 3]
    assert places("largest") == [2, 1, 3, 0]
    assert places("starred") == [1, 3, 2, 0]


def test_a_record_can_be_changed_and_is_found_by_what_it_says_now(images):
    name = images.save(picture()).image_name
    images.update(name, starred=True, category="control", metadata={"title": "sunset"})
    record = images.record(name)
    assert (record.starred, record.category, record.metadata) == (True, "control", {"title": "sunset"})
    assert images.list(ImageQuery(text="sunset")).total == 1
    images.update(name, starred=False)
    assert images.record(name).category == "control"
    assert not images.record(name).starred


def test_deleting_tells_which_there_were(images):
    names = [images.save(picture(shade)).image_name for shade in range(3)]
    assert images.delete(names[0], names[2], "0" * 32) == 2
    assert [images.exists(name) for name in names] == [False, True, False]
    assert images.delete(names[0]) == 0
    with pytest.raises(NotFoundError, match="deleted"):
        images.get(names[0])


def test_intermediate_pictures_are_deleted_together(images):
    kept = images.save(picture()).image_name
    for shade in range(4):
        images.save(picture(shade), is_intermediate=True)
    assert images.delete_intermediates() == 4
    assert [record.image_name for record in images.list().items] == [kept]


def test_who_asked_hears_of_changes_and_of_deletions(images):
    changed, deleted = [], []
    end = images.on_changed(lambda record: changed.append((record.image_name, record.starred)))
    images.on_deleted(deleted.append)
    name = images.save(picture()).image_name
    images.update(name, starred=True)
    end()
    other = images.save(picture()).image_name
    images.delete(name, other)
    assert changed == [(name, False), (name, True)]
    assert deleted == [name, other]


def test_equal_pixels_have_equal_content_under_different_names(images):
    one, other, different = images.save(picture()), images.save(picture()), images.save(picture(1))
    assert one.image_name != other.image_name
    assert one.content == other.content != different.content


def test_a_thumbnail_is_small_webp(images):
    name = images.save(Image.new("RGB", (1024, 512), "red")).image_name
    data = images.thumbnail(name)
    assert data[8:12] == b"WEBP"
    assert images.thumbnail(name) == data


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_was_not_generated_is_refused(images, name):
    assert not images.exists(name)
    assert not images.is_intact(name)
    for method in (images.get, images.record, images.content, images.thumbnail, images.delete, images.update):
        with pytest.raises(InvalidNameError):
            method(name)
