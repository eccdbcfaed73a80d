"""The looks that the emoji model learns, and the measures that find a drawing again in whatever look."""

import pytest
import torch

from nbgraph.models.emoji.data import Drawing, halved
from nbgraph.models.emoji.likeness import Gallery, all_apart, spread
from nbgraph.models.emoji.looks import GROUNDS, TINTS, Looks, grounds, show

SIDE = 128
NAMES = ("flag", "ring", "leftwards arrow", "clock face one oclock")


def drawn() -> torch.Tensor:
    """Return four drawings as layers (4, 4, 128, 128): colours multiplied by opacity."""
    down, right = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    masks = torch.zeros(4, SIDE, SIDE, dtype=torch.bool)
    masks[0] = ((right > 8) & (right < 24) & (down > 4) & (down < 124)) | ((right > 8) & (right < 110) & (down < 60))
    distance = ((right - 64.0) ** 2 + (down - 64.0) ** 2).sqrt()
    masks[1] = (distance < 58) & (distance > 34)
    masks[2] = (right > 6) & (right < 122) & ((down - 64).abs() < (right - 4) / 2)
    masks[3] = (distance < 58) & ~(((right - 64).abs() < 6) & (down > 16) & (down < 70))
    colours = torch.tensor([[200, 30, 30], [30, 120, 60], [20, 60, 180], [120, 60, 120]], dtype=torch.uint8)
    layers = torch.cat([colours.view(4, 3, 1, 1).expand(4, 3, SIDE, SIDE), torch.full((4, 1, SIDE, SIDE), 255)], dim=1)
    return (layers * masks[:, None]).to(torch.uint8)


def look(count: int = 1, **changed: float) -> Looks:
    """Return plain looks with some properties changed."""
    looks = Looks.plain(count)
    for name, value in changed.items():
        getattr(looks, name)[:] = value
    return looks


def test_a_plain_look_shows_the_drawing_as_it_is_on_white():
    layers = drawn()
    opacity = layers[:, 3:].float() / 255
    assert torch.allclose(show(layers, look(4)), layers[:, :3] / 255 + 1 - opacity, atol=1e-5)


def test_a_mirrored_look_shows_the_mirror_image():
    flag = drawn()[:1]
    assert torch.allclose(show(flag, look(mirrored=True)), show(flag, look()).flip(-1), atol=1e-5)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_drawing_is_shifted_the_way_its_look_says_whether_mirrored_or_not(mirrored: bool):
    ring = show(drawn()[1:2], look(scale=0.6, right=0.3, down=-0.2, mirrored=mirrored))[0]
    down, right = (ring.mean(dim=0) < 0.9).nonzero().float().mean(dim=0) / (SIDE / 2) - 1
    assert right.item() == pytest.approx(0.3, abs=0.03)
    assert down.item() == pytest.approx(-0.2, abs=0.03)


def test_a_drawing_is_turned_clockwise():
    flag = drawn()[:1]
    turned = show(flag, look(turn=90.0))
    assert torch.allclose(turned, show(flag, look()).rot90(-1, (2, 3)), atol=1e-4)


def test_every_ground_reaches_the_edge_and_leaves_the_drawing_alone():
    for index, colour in enumerate(grounds()):
        shown = show(drawn()[1:2], look(ground=index))[0]
        assert torch.allclose(shown[:, 0, 0], colour, atol=1e-5)
        assert torch.allclose(shown[:, 64, 20] * 255, torch.tensor([30.0, 120.0, 60.0]), atol=0.1)


def test_random_looks_stay_on_the_canvas():
    looks = Looks.draw(200, torch.Generator().manual_seed(0))
    shown = show(drawn()[1:2].expand(200, -1, -1, -1), looks)
    border = torch.cat([shown[..., 0], shown[..., -1], shown[..., 0, :], shown[..., -1, :]], dim=-1)
    assert torch.allclose(border, grounds()[looks.ground].unsqueeze(-1).expand_as(border), atol=1e-4)


def test_unposed_looks_differ_by_mirror_ground_and_tint_alone():
    looks = Looks.draw(1000, torch.Generator().manual_seed(0), posed=False)
    plain = Looks.plain(1000)
    assert all(torch.equal(getattr(looks, name), getattr(plain, name)) for name in ("scale", "right", "down", "turn"))
    assert len(set(zip(looks.mirrored.tolist(), looks.ground.tolist(), looks.tint.tolist(), strict=True))) == 32


def test_a_look_is_described_by_the_words_that_fix_it():
    looks = look(scale=0.65, mirrored=True, tint=list(TINTS).index("pale"), ground=list(GROUNDS).index("blue"))
    assert looks.words(0) == ["small", "mirrored", "pale", "on blue"]
    assert look().words(0) == ["on white"]


def test_a_drawing_is_found_again_in_every_look_it_may_have():
    layers, listed = drawn(), [Drawing(index, name) for index, name in enumerate(NAMES)]
    gallery = Gallery(listed, layers)
    looks = Looks.draw(64, torch.Generator().manual_seed(1))
    drawing = torch.arange(64) % len(listed)
    looks.mirrored &= ~gallery.sided[drawing]
    looks.turn *= ~gallery.clocks[drawing]
    found = gallery.find(halved(show(layers[drawing], looks)))
    assert found.drawing.tolist() == drawing.tolist()
    assert found.ground.tolist() == looks.ground.tolist()
    assert found.tint.tolist() == looks.tint.tolist()
    assert (found.scale / looks.scale.clamp(max=1) - 1).abs().max() < 0.25
    flags = drawing == 0
    assert found.mirrored[flags].tolist() == looks.mirrored[flags].tolist()
    assert (found.turn - looks.turn)[flags].abs().max() <= 5


def test_an_arrow_is_not_found_in_its_mirror_image():
    listed = [Drawing(0, "leftwards arrow"), Drawing(1, "ring")]
    layers, looks = drawn()[[2, 1]], look(2)
    looks.mirrored[1] = True
    straight, mirrored = Gallery(listed, layers).find(show(layers[:1].expand(2, -1, -1, -1), looks)).distance
    assert straight < 0.001 < mirrored


def test_pictures_that_only_the_prompt_decides_have_no_spread_between_seeds():
    pictures = torch.rand(5, 1, 3, 64, 64).expand(5, 4, -1, -1, -1)
    within, between = spread(pictures)
    assert within == pytest.approx(0, abs=1e-3)
    assert between > 0.05
    assert not all_apart(pictures, 0.01).any()


def test_two_seeds_that_agree_are_counted_though_the_other_seeds_differ():
    pictures = torch.stack([torch.linspace(0, 1, 4), torch.tensor([0.0, 0.0, 0.5, 1.0])])
    pictures = pictures.view(2, 4, 1, 1, 1).expand(2, 4, 3, 64, 64)
    assert all_apart(pictures, 0.3).tolist() == [True, False]
    assert spread(pictures)[0] == pytest.approx(5 / 9 / 2 + (0.0 + 0.5 + 1 + 0.5 + 1 + 0.5) / 12, abs=1e-3)
