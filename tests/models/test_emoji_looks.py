"""The looks in which the upscaler is shown a drawing."""

import pytest
import torch

from nbgraph.models.emoji.looks import Looks, grounds, show
from tests.models.layers import SIDE, drawn


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


def test_a_pale_look_lightens_the_drawing_alone():
    plain, pale = show(drawn()[1:2], look(ground=1))[0], show(drawn()[1:2], look(ground=1, tint=1))[0]
    assert torch.allclose(pale[:, 64, 20], 0.55 * plain[:, 64, 20] + 0.45, atol=1e-3)
    assert torch.equal(pale[:, 0, 0], plain[:, 0, 0])
