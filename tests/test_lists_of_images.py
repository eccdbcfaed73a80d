"""A list of pictures shows itself as pictures."""

from pictures import apple
from PIL import Image

from nbgraph.results import SHOWN, Pictures


def test_the_pictures_of_a_run_show_themselves(studio):
    images = studio.run(apple(), progress=False).images
    shown = images._repr_html_()
    assert shown.count("<img ") == len(images) == 1
    assert "[0] 128 x 128" in shown
    assert ">1 picture</span>" in shown


def test_of_many_pictures_the_first_are_shown_and_the_others_counted():
    shown = Pictures([Image.new("RGB", (8, 8))] * (SHOWN + 3))._repr_html_()
    assert shown.count("<img ") == SHOWN
    assert f">{SHOWN + 3} pictures, 3 more</span>" in shown


def test_they_are_a_list_all_the_same():
    picture = Image.new("RGB", (8, 8))
    assert Pictures([picture]) == [picture]
