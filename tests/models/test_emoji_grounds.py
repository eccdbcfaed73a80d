"""The grounds of the emoji model, and the measures that find a drawing again whatever its ground."""

import pytest
import torch

from nbgraph.models.emoji.grounds import Grounds, evened, lay
from nbgraph.models.emoji.layout import opacities
from nbgraph.models.emoji.likeness import Gallery, all_apart, cielab, spread, told_apart
from tests.models.layers import SIDE, drawn


def some(count: int, seed: int = 0) -> Grounds:
    """Return random grounds."""
    return Grounds.draw(count, torch.Generator().manual_seed(seed))


def test_a_ground_changes_evenly_from_one_side_to_the_other():
    field = some(3).field(32)
    assert torch.allclose(field.diff(n=2, dim=-1), torch.zeros(3, 3, 32, 30), atol=1e-5)
    assert torch.allclose(field.diff(n=2, dim=-2), torch.zeros(3, 3, 30, 32), atol=1e-5)


def test_every_ground_is_light():
    colours = some(200).colours(16)
    assert colours.min() >= 0.4
    assert colours.max() <= 1
    assert colours.mean() == pytest.approx(0.8, abs=0.03)


def test_a_drawing_covers_its_ground():
    layers, white = drawn(), torch.ones(4, 3, SIDE, SIDE)
    shown = lay(layers, some(4).colours(SIDE))
    opaque = layers[:, 3:] == 255
    assert torch.allclose(torch.where(opaque, shown, 0), torch.where(opaque, layers[:, :3] / 255, 0), atol=1e-5)
    assert torch.equal(lay(torch.zeros_like(layers), white), white)


def test_grounds_differ_in_brightness_in_tint_and_from_side_to_side():
    red, green, blue = some(500).colours(16).unbind(1)
    brightness = (red + green + blue).mean(dim=(1, 2)) / 3
    assert brightness.std() > 0.06
    for difference in (red - green, red + green - 2 * blue):
        assert difference.mean(dim=(1, 2)).std() > 0.12
        assert (difference[..., -1] - difference[..., 0]).mean(dim=1).std() > 0.12
        assert (difference[..., -1, :] - difference[..., 0, :]).mean(dim=1).std() > 0.12


def test_a_slope_across_goes_to_the_right_and_a_slope_down_to_the_lower_edge():
    scores = torch.zeros(2, 3, 3)
    scores[0, 0, 1] = scores[1, 0, 2] = 1
    across, down = Grounds(scores).field(4)[:, 0]
    wanted = torch.tensor([-0.75, -0.25, 0.25, 0.75])
    assert torch.allclose(across, wanted.expand(4, 4))
    assert torch.allclose(down, wanted.view(4, 1).expand(4, 4))


def test_a_ground_shows_through_a_drawing_by_what_its_opacity_leaves():
    layers = torch.tensor([60, 60, 60, 102], dtype=torch.uint8).view(1, 4, 1, 1).expand(1, 4, 8, 8)
    shown = lay(layers, torch.full((1, 3, 8, 8), 0.5))
    assert torch.allclose(shown, torch.tensor(60 / 255 + 0.6 * 0.5), atol=1e-5)
    rounded = torch.tensor([103, 103, 103, 102], dtype=torch.uint8).view(1, 4, 1, 1).expand(1, 4, 8, 8)
    assert lay(rounded, torch.ones(1, 3, 8, 8)).max() == 1


def test_opacity_is_told_by_the_fourth_layer_from_clear_to_opaque():
    layers = torch.randint(0, 256, (2, 4, 128, 128), dtype=torch.uint8)
    layers[0, 3], layers[1, 3] = 0, 255
    assert torch.equal(opacities(layers), torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 16, 16))


def test_what_is_uneven_is_evened_and_what_is_even_is_kept():
    field = some(2).field(16)
    assert torch.allclose(evened(field), field, atol=1e-4)
    torch.manual_seed(0)
    assert torch.allclose(evened(field + 0.1 * torch.randn(2, 3, 16, 16)), field, atol=0.1)


def test_a_drawing_is_found_again_on_every_ground_it_may_have():
    layers = drawn()
    drawing = torch.arange(64) % len(layers)
    found = Gallery(layers).find(lay(layers[drawing], some(64).colours(SIDE)))
    assert found.drawing.tolist() == drawing.tolist()
    assert found.distance.max() < 0.001


def test_a_drawing_that_its_ground_shines_through_is_found_again():
    layers = drawn() // 2
    found = Gallery(layers).find(lay(layers, some(4).colours(SIDE)))
    assert found.drawing.tolist() == [0, 1, 2, 3]
    assert found.distance.max() < 0.001


def test_the_distance_to_a_drawing_is_the_least_that_an_even_ground_leaves():
    layers = drawn()
    torch.manual_seed(0)
    pictures = torch.rand(3, 3, SIDE, SIDE)
    distances = Gallery(layers).distances(pictures)
    grid = some(4000)
    small = torch.nn.functional.interpolate(pictures, size=(32, 32), mode="area")
    parts = torch.nn.functional.interpolate(layers.float() / 255, size=(32, 32), mode="area")
    tried = parts[:1, :3] + (1 - parts[:1, 3:]) * grid.colours(32)
    least = (tried[None] - small[:, None]).square().mean(dim=(2, 3, 4)).amin(dim=1)
    assert (distances[:, 0] <= least).all()
    opaque = torch.cat([layers[:, :3], torch.full_like(layers[:, 3:], 255)], dim=1)
    plain = torch.nn.functional.interpolate(opaque[:, :3].float() / 255, size=(32, 32), mode="area")
    wanted = (plain[None] - small[:, None]).square().mean(dim=(2, 3, 4))
    assert torch.allclose(Gallery(opaque).distances(pictures), wanted, atol=1e-5)


def test_pictures_that_only_the_prompt_decides_have_no_spread_between_seeds():
    pictures = torch.rand(5, 1, 3, 64, 64).expand(5, 4, -1, -1, -1)
    within, between = spread(pictures)
    assert within == pytest.approx(0, abs=1e-3)
    assert between > 0.05
    assert not all_apart(pictures).any()


def test_two_seeds_that_agree_are_counted_though_the_other_seeds_differ():
    pictures = torch.stack([torch.linspace(0, 1, 4), torch.tensor([0.0, 0.0, 0.5, 1.0])])
    pictures = pictures.view(2, 4, 1, 1, 1).expand(2, 4, 3, 64, 64)
    assert all_apart(pictures).tolist() == [True, False]
    assert spread(pictures)[0] == pytest.approx(5 / 9 / 2 + (0.0 + 0.5 + 1 + 0.5 + 1 + 0.5) / 12, abs=1e-3)


def test_pictures_are_told_apart_by_a_quarter_of_the_places_that_plainly_differ_in_colour():
    grey = torch.full((1, 3, 32, 32), 0.5)
    fifth, third, faint = grey.clone(), grey.clone(), grey + 0.05
    fifth[..., :6] = third[..., :11] = 0.7
    assert not told_apart(grey, fifth)
    assert not told_apart(grey, faint)
    assert told_apart(grey, third)
    assert told_apart(third, grey)


def test_differences_in_colour_are_those_of_cielab():
    white, red = torch.ones(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    red[:, 0] = 1
    assert torch.allclose(cielab(white)[0, :, 0, 0], torch.tensor([100.0, 0.0, 0.0]), atol=0.05)
    assert torch.allclose(cielab(red)[0, :, 0, 0], torch.tensor([53.24, 80.09, 67.20]), atol=0.1)


def test_dark_colours_have_the_straight_parts_of_srgb_and_of_cielab():
    dark = torch.full((1, 3, 1, 1), 10 / 255)
    assert torch.allclose(cielab(dark).flatten(), torch.tensor([2.74, 0.0, 0.0]), atol=0.01)
