"""The upscaler that ships: small, safe to load, sharper than interpolation, and trained as its file says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors import safe_open
from safetensors.torch import load_file

import nbgraph as nb
from nbgraph.diffusion.compact_upscaler import CompactUpscaler
from nbgraph.invocations import Upscale, UpscalerLoader
from nbgraph.invocations.fields import ImageField
from nbgraph.models import emoji
from nbgraph.models.emoji import autoencoder, upscaler
from nbgraph.models.emoji.schedule import Schedule

FILE = emoji.FOLDER.parent / "emoji_x2.safetensors"


def drawing() -> Image.Image:
    """A face of discs and a line, drawn large and brought to 128 pixels."""
    large = Image.new("RGB", (512, 512), "white")
    draw = ImageDraw.Draw(large)
    draw.ellipse((40, 40, 470, 470), fill=(250, 200, 50))
    for left in (150, 300):
        draw.ellipse((left, 170, left + 60, 260), fill=(90, 60, 20))
    draw.arc((150, 220, 360, 400), 20, 160, fill=(90, 60, 20), width=20)
    return large.resize((128, 128), Image.Resampling.LANCZOS)


def error(first: Image.Image, second: Image.Image) -> float:
    return float(np.square(np.asarray(first).astype(float) - np.asarray(second)).mean())


def test_a_drawing_is_doubled_better_than_by_interpolation():
    whole = drawing()
    small = whole.resize((64, 64), Image.Resampling.LANCZOS)
    with nb.Studio() as studio:
        given = ImageField(image_name=studio.services.images.save(small).image_name)
        node = Upscale(id="made", image=given, upscaler=UpscalerLoader(upscaler_model="emoji_x2.safetensors"))
        made = studio.run(node, progress=False)["made"].image
    assert made.size == (128, 128)
    assert error(made, whole) < 0.5 * error(small.resize((128, 128), Image.Resampling.LANCZOS), whole)


def test_the_file_is_small_holds_plain_numbers_and_names_its_licence():
    assert FILE.stat().st_size < 200_000
    with safe_open(FILE, "pt") as opened:
        assert opened.metadata() == upscaler.FACTS
    assert {tensor.dtype for tensor in load_file(FILE).values()} == {torch.float16}


@pytest.fixture
def layers() -> torch.Tensor:
    """Three drawings of random blocks."""
    blocks = torch.randint(0, 256, (3, 4, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    blocks[:, :3] = torch.minimum(blocks[:, :3], blocks[:, 3:])
    return blocks.repeat_interleave(16, 2).repeat_interleave(16, 3)


def test_training_goes_on_where_it_stopped_and_gives_a_file_that_loads(layers: torch.Tensor, tmp_path: Path):
    torch.manual_seed(0)
    drawn = upscaler.pairs(layers, autoencoder.build().eval())
    assert [tuple(each.shape[1:]) for each in drawn] == [(3, 128, 128), (3, 64, 64), (3, 64, 64)]
    torch.manual_seed(0)
    model, path = CompactUpscaler(8, 1, 2), tmp_path / "state.safetensors"
    first = Schedule(steps=1)
    upscaler.train(model, drawn, first, path)
    other, schedule = CompactUpscaler(8, 1, 2), Schedule(steps=2)
    upscaler.train(other, drawn, schedule, path)
    assert schedule.step == 2
    assert schedule.spent > first.spent > 0
    change = other.body[0].weight - model.body[0].weight
    assert 0 < change.abs().max() < 0.01
    upscaler.export(other, tmp_path / "made.safetensors")
    again = CompactUpscaler(8, 1, 2)
    again.load_state_dict(load_file(tmp_path / "made.safetensors"))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in again.state_dict().items())


def test_what_is_wanted_of_a_patch_is_the_same_part_of_the_drawing(layers: torch.Tensor):
    large = upscaler.show(layers, upscaler.Looks.plain(3))
    small = torch.nn.functional.avg_pool2d(large, 2)
    drawn = [(255 * each).round().to(torch.uint8) for each in (large, small, 1 - small)]
    inputs, wanted = upscaler.patches(*drawn, torch.Generator().manual_seed(0))
    halved = torch.nn.functional.avg_pool2d(wanted, 2)
    kept, turned_over = ((inputs - other).abs().amax(dim=(1, 2, 3)) < 0.01 for other in (halved, 1 - halved))
    assert (kept | turned_over).all()
    assert kept.any()
    assert turned_over.any()


def test_what_the_autoencoder_makes_is_brought_from_signed_numbers_to_pixels(layers: torch.Tensor):
    vae = autoencoder.build().eval()
    with torch.no_grad():
        for weights in vae.decoder.layers[-1].parameters():
            weights.zero_()
        vae.decoder.layers[-1].bias.fill_(0.25)
    _, _, decoded = upscaler.pairs(layers, vae)
    assert set(decoded.flatten().tolist()) == {64}


def test_a_nearer_picture_has_the_larger_signal_to_noise_ratio():
    wanted = torch.full((1, 3, 8, 8), 0.5)
    assert upscaler.ratio(wanted + 0.1, wanted).item() == pytest.approx(20, abs=0.01)
    assert upscaler.ratio(wanted + 0.01, wanted).item() == pytest.approx(40, abs=0.01)
