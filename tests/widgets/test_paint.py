"""The paint widget: what it is given, what its page is told and sends, and what is left in the studio."""

from io import BytesIO

import pytest
from PIL import Image, ImageDraw
from widgets.panel_page import PanelPage

import nbgraph as nb
from nbgraph import painting
from nbgraph.errors import NbgraphError, NotFoundError
from nbgraph.invocations import BlankImage, CropImage
from nbgraph.widgets.paint import MaskPainter
from nbgraph.widgets.painted import Frame


def as_png(mask: Image.Image) -> bytes:
    file = BytesIO()
    mask.save(file, "PNG")
    return file.getvalue()


def spot(size: tuple[int, int] = (64, 48), box: tuple[int, int, int, int] = (8, 8, 24, 24)) -> Image.Image:
    """A black mask with a white spot."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


class PaintPage(PanelPage):
    """A page that sends masks."""

    def save(self, mask: Image.Image | bytes, kind: str = "save", **more: object) -> dict:
        data = mask if isinstance(mask, bytes) else as_png(mask)
        before = len(self.heard)
        self.widget._handle_custom_msg({"type": kind, "request": 7, **more}, [data])
        [(answer, _)] = [each for each in self.heard[before:] if each[0]["type"] != "changed"]
        return answer


@pytest.fixture
def studio():
    with nb.Studio() as opened:
        yield opened


@pytest.fixture
def picture() -> Image.Image:
    return Image.linear_gradient("L").resize((64, 48)).convert("RGB")


@pytest.fixture
def painter(studio, picture):
    made = studio.paint(picture)
    yield made
    made.close()


@pytest.fixture
def page(painter) -> PaintPage:
    return PaintPage(painter)


def mask_images(studio: nb.Studio) -> list:
    return [record for record in studio.services.images.list(per_page=100).items if record.category == "mask"]


class TestWhatIsPaintedOn:
    def test_a_pil_image_a_path_a_result_a_field_and_a_name_are_taken(self, studio, picture, tmp_path):
        path = tmp_path / "photo.png"
        picture.save(path)
        blank = BlankImage(id="blank", width=64, height=48)
        field = studio.images.add(picture)
        result = studio.run(blank, progress=False)[blank]
        for given in (picture, path, str(path), field, field.image_name, result):
            painter = studio.paint(given)
            assert studio.images.get(painter.image.image_name).size == (64, 48)
            painter.close()
        assert studio.paint(field).image == field

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
    def test_every_mode_that_is_stored_is_shown_to_the_page(self, studio, mode):
        page = PaintPage(studio.paint(Image.new(mode, (5, 3))))
        content, (shown,) = page.ask({"type": "ready"})
        assert (content["width"], content["height"]) == (5, 3)
        assert Image.open(BytesIO(shown)).size == (5, 3)

    @pytest.mark.parametrize("size", [(1, 1), (5000, 300)])
    def test_images_of_any_shape_are_painted_on(self, studio, size):
        page = PaintPage(studio.paint(Image.new("RGB", size)))
        assert page.save(Image.new("L", size, 255))["type"] == "saved"
        assert studio.images.get(page.widget.mask.image_name).size == size

    def test_no_image_a_deleted_one_a_node_and_text_that_is_no_path_are_named(self, studio, picture, tmp_path):
        field = studio.images.add(picture)
        studio.images.delete(field.image_name)
        blank = BlankImage(width=8, height=8)
        wrong = [(None, "no image to paint on"), (field, "deleted"), (blank, "is a node; run it"), (3, "not an image")]
        wrong += [("<script>", "does not exist"), (tmp_path, "folder")]
        for given, words in wrong:
            with pytest.raises(NbgraphError, match=words):
                studio.paint(given)

    def test_a_mask_of_another_size_is_refused_and_a_colour_mask_counts_by_its_brightness(self, studio, picture):
        with pytest.raises(NbgraphError, match="the mask is 48 x 64, and the image 64 x 48"):
            studio.paint(picture, Image.new("L", (48, 64)))
        drawn = Image.new("RGBA", (64, 48), (255, 255, 255, 0))
        drawn.paste((255, 255, 255, 255), (0, 0, 9, 9))
        mask = studio.images.get(studio.paint(picture, drawn).mask.image_name)
        assert (mask.mode, mask.getpixel((4, 4)), mask.getpixel((30, 30))) == ("L", 255, 0)

    def test_nb_paint_paints_in_the_studio_that_was_opened_last(self, studio, picture, monkeypatch):
        # tests before this one may have left theirs open
        monkeypatch.setattr(painting, "_open", [each for each in painting._open if each() is studio])
        with nb.Studio() as other:
            name = nb.paint(picture, spot()).mask.image_name
            assert other.services.images.exists(name)
        name = nb.paint(picture, spot()).mask.image_name
        assert studio.services.images.exists(name)
        studio.close()
        with pytest.raises(NbgraphError, match="no studio is open"):
            nb.paint(picture)


class TestTheMask:
    def test_what_the_page_sends_is_the_mask_white_where_it_was_painted(self, studio, painter, page):
        assert page.save(spot())["mask"] == painter.mask.image_name
        record = studio.services.images.record(painter.mask.image_name)
        assert (record.category, record.mode, record.is_intermediate) == ("mask", "L", False)
        assert studio.images.get(record.image_name).tobytes() == spot().tobytes()

    def test_painting_on_replaces_a_draft_and_keeps_a_mask_that_was_taken(self, studio, painter, page):
        page.save(spot())
        page.save(spot(box=(1, 1, 5, 5)))
        assert len(mask_images(studio)) == 1
        taken = painter.mask
        page.save(spot(box=(2, 2, 30, 30)))
        page.save(spot(box=(3, 3, 30, 30)))
        assert painter.mask != taken
        assert studio.images.get(taken.image_name).getpixel((1, 1)) == 255
        assert len(mask_images(studio)) == 2

    def test_a_draft_with_a_star_is_kept(self, studio, page):
        name = page.save(spot())["mask"]
        studio.images.star(name)
        page.save(spot(box=(1, 1, 5, 5)))
        assert studio.services.images.exists(name)

    def test_no_mask_an_empty_one_and_a_deleted_one_are_named(self, studio, painter, page):
        with pytest.raises(NbgraphError, match="no mask has been painted"):
            _ = painter.mask
        page.save(spot())
        page.save(Image.new("L", (64, 48)))
        with pytest.raises(NbgraphError, match="black everywhere"):
            _ = painter.mask
        assert "black everywhere" in page.save(Image.new("L", (64, 48)), "use")["message"]
        name = page.save(spot())["mask"]
        studio.images.delete(name)
        with pytest.raises(NotFoundError, match="deleted"):
            _ = painter.mask
        assert "the mask was deleted" in page.ask({"type": "ready"})[0]["problem"]
        assert page.save(spot())["type"] == "saved"

    def test_use_keeps_the_mask_and_calls_back(self, studio, picture):
        heard = []
        painter = MaskPainter(studio.services, picture, use=heard.append)
        answer = PaintPage(painter).save(spot(), "use")
        assert (answer["mask"], answer["image"]) == (painter.mask.image_name, painter.image.image_name)
        assert heard == [painter]
        assert not studio.services.images.record(answer["mask"]).is_intermediate

    @pytest.mark.parametrize(
        ("sent", "words"),
        [
            (b"no image", "not an image"),
            (as_png(Image.new("L", (9, 9))), "the mask is 9 x 9, and the image 64 x 48"),
            (b"\0" * (33 * 2**20), "larger than"),
        ],
        ids=["no image", "another size", "too large"],
    )
    def test_what_is_no_mask_of_the_image_is_refused_and_changes_nothing(self, studio, page, sent, words):
        before = page.save(spot())["mask"]
        assert words in page.save(sent)["message"]
        assert [record.image_name for record in mask_images(studio)] == [before]

    def test_messages_of_a_broken_page_are_refused(self, page):
        for pads in ([0, 0, 0], [8, 0, 0, -8], [4, 0, 0, 0], [32_768] * 4, "8888"):
            assert page.save(spot(), pads=pads)["type"] == "refused"
        page.widget._handle_custom_msg({"type": "save", "request": 1}, [])
        assert page.heard[-1][0]["type"] == "refused"


class TestLater:
    def test_what_was_painted_is_offered_for_the_same_image_in_the_next_kernel(self, picture, tmp_path):
        with nb.Studio(tmp_path) as studio:
            PaintPage(studio.paint(picture)).save(spot())
        with nb.Studio(tmp_path) as studio:
            page = PaintPage(studio.paint(picture))
            assert page.ask({"type": "ready"})[0]["earlier"] is not None
            content, (mask,) = page.ask({"type": "earlier"})
            assert Image.open(BytesIO(mask)).tobytes() == spot().tobytes()
            assert page.widget.mask.image_name == content["mask"]
            other = PaintPage(studio.paint(picture.rotate(180)))
            assert other.ask({"type": "ready"})[0]["earlier"] is None
            assert "deleted" in other.ask({"type": "earlier"})[0]["message"]

    def test_a_mask_that_was_cleared_is_not_offered(self, studio, picture, page):
        page.save(Image.new("L", (64, 48)))
        assert PaintPage(studio.paint(picture)).ask({"type": "ready"})[0]["earlier"] is None

    def test_a_mask_that_only_mentions_the_image_is_not_offered(self, studio, picture, page):
        content = studio.services.images.content(page.widget.image.image_name)
        studio.services.images.save(spot(), category="mask", metadata={"made from": content})
        assert page.ask({"type": "ready"})[0]["earlier"] is None

    def test_two_painters_on_one_image_do_not_take_each_others_masks_away(self, studio, picture, page):
        page.save(spot())
        second = PaintPage(studio.paint(picture))
        second.ask({"type": "earlier"})
        page.save(spot(box=(1, 1, 3, 3)))
        assert studio.images.get(second.widget.mask.image_name).tobytes() == spot().tobytes()
        assert studio.images.get(page.widget.mask.image_name).getpixel((2, 2)) == 255

    def test_another_page_of_the_widget_is_told_and_gets_the_mask(self, page):
        page.save(spot(), page=3)
        assert page.news == [{"type": "changed", "from": 3}]
        _, (_, mask) = page.ask({"type": "ready"})
        assert Image.open(BytesIO(mask)).tobytes() == spot().tobytes()

    def test_without_a_kernel_the_image_is_shown_with_its_mask_in_red(self, painter, page):
        assert "Nothing is painted yet" in painter._repr_mimebundle_()[0]["text/html"]
        page.save(spot())
        assert "data:image/webp" in painter._repr_mimebundle_()[0]["text/html"]
        assert repr(painter) == f"MaskPainter(64 x 48, mask {painter.mask.image_name[:8]})"

    def test_the_static_image_says_that_its_image_is_gone(self, studio, painter):
        studio.images.delete(painter.image.image_name)
        assert "the image was deleted" in painter._repr_mimebundle_()[0]["text/html"]


class TestFrame:
    def test_an_extended_frame_gives_the_extended_image_and_the_inputs_of_outpaint(self, studio, painter, page):
        mask = Image.new("L", (64 + 16, 48 + 8), 255)
        mask.paste(0, (16, 0, 80, 48))
        answer = page.save(mask, "use", pads=[16, 0, 0, 8])
        assert painter.frame == Frame(-16, 0, 80, 56)
        extended = studio.images.get(answer["image"])
        assert (extended.mode, extended.size) == ("RGB", (80, 56))
        original = page.widget._images.get(painter._original.image_name)
        assert extended.crop((16, 0, 80, 48)).tobytes() == original.tobytes()
        crop = CropImage(id="crop", image=studio.images.add(original), **painter.frame._asdict())
        assert studio.run(crop, progress=False)[crop].image.size == mask.size
        form = studio.form("outpaint")
        form.values = {"image": studio.images.add(original), **painter.frame._asdict()}
        assert {name: form.values[name] for name in Frame._fields} == painter.frame._asdict()
        form.close()

    def test_a_mask_in_the_frame_before_is_refused(self, page):
        assert "the mask is 64 x 48, and the image 80 x 48" in page.save(spot(), pads=[16, 0, 0, 0])["message"]

    def test_the_extended_image_is_made_once_and_again_after_it_was_deleted(self, studio, painter, page):
        page.save(Image.new("L", (72, 48), 255), pads=[8, 0, 0, 0])
        first = painter.image
        assert painter.image == first
        studio.images.delete(first.image_name)
        assert painter.image != first


class TestForm:
    @pytest.fixture
    def form(self, studio):
        made = studio.form("inpaint")
        yield made
        made.close()

    def test_a_mask_is_painted_on_the_image_of_the_form(self, studio, form, picture):
        control = form._controls["mask"]
        control.button.click()
        assert "choose the image first" in form._view._problem
        form.values = {"image": studio.images.add(picture)}
        page = PaintPage(control.paint())
        assert control._place.children == (page.widget,)
        answer = page.save(spot(), "use")
        assert form.values["mask"].image_name == answer["mask"]
        assert control._place.children == ()

    def test_painting_again_begins_with_the_mask_unless_the_image_has_another_size(self, studio, form, picture):
        control = form._controls["mask"]
        form.values = {"image": studio.images.add(picture), "mask": studio.images.add(spot())}
        assert control.paint().mask.image_name
        form.values = {"image": studio.images.add(picture.resize((20, 20)))}
        with pytest.raises(NbgraphError, match="no mask has been painted"):
            _ = control.paint().mask

    def test_an_extended_frame_gives_the_form_its_image_too(self, studio, form, picture):
        form.values = {"image": studio.images.add(picture)}
        page = PaintPage(form._controls["mask"].paint())
        answer = page.save(Image.new("L", (72, 48), 255), "use", pads=[8, 0, 0, 0])
        assert form.values["image"].image_name == answer["image"]
        assert studio.images.get(answer["image"]).size == (72, 48)

    def test_an_image_that_was_deleted_is_named_under_the_form(self, studio, form, picture):
        form.values = {"image": studio.images.add(picture)}
        studio.images.delete(form.values["image"].image_name)
        form._controls["mask"].button.click()
        assert "there is no image" in form._view._problem


class TestCanvas:
    def test_a_canvas_opens_one_painter_at_a_time_on_its_image_and_mask(self, studio, picture):
        editor = studio.edit()
        page = PanelPage(editor)
        image, mask = studio.images.add(picture), studio.images.add(spot())
        page.ask({"type": "paint", "request": 1, "name": image.image_name, "mask": mask.image_name, "extends": True})
        first = editor._painter
        assert (first.image, first._extends) == (image, True)
        assert studio.images.get(first.mask.image_name).tobytes() == spot().tobytes()
        other = studio.images.add(picture.resize((8, 8)))
        answer, _ = page.ask({"type": "paint", "request": 2, "name": other.image_name, "mask": mask.image_name})
        assert answer["model"] == editor._painter.model_id
        assert first.comm is None
        assert editor._painter._mask == ""
        studio.images.delete(other.image_name)
        answer, _ = page.ask({"type": "paint", "request": 3, "name": other.image_name})
        assert "there is no image" in answer["message"]
        editor.close()
