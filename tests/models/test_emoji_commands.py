"""The commands that train and measure the emoji model: what they make of the font, and of arguments that are wrong."""

import argparse
import random
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from nbgraph.models import emoji
from nbgraph.models.emoji import autoencoder, checkpoint, data, denoiser_training, enlarge, evaluate, train, upscaler
from nbgraph.models.emoji.batches import Batches
from nbgraph.models.emoji.denoiser import Denoiser
from nbgraph.models.emoji.likeness import Gallery
from nbgraph.models.emoji.schedule import Schedule
from nbgraph.models.emoji.text import Prompts, build_tokenizer

needs_the_font = pytest.mark.skipif(not data.FONT.exists(), reason="needs Noto Color Emoji")
MAINS = {"train": train.main, "evaluate": evaluate.main, "upscaler": upscaler.main}


def touch_model(folder: Path) -> None:
    """Make empty files where an exported model has its own."""
    for name in ("model_index.json", "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.fixture
def begin(tmp_path: Path) -> Path:
    """What is looked at in a folder of an exported model of 64 pixels."""
    folder = tmp_path / "given"
    touch_model(folder)
    torch.manual_seed(0)
    old = autoencoder.build()
    old.register_to_config(scaling_factor=2.0)
    old.save_pretrained(folder / "vae")
    return folder


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("train --work WORK --font nothing.ttf", "no Noto Color Emoji with bitmaps at nothing.ttf"),
        ("train --work FILE", "FILE is a file, not a folder"),
        ("train --work FILE/below", "FILE is a file, not a folder"),
        ("train --work WORK --out FILE", "FILE is a file, not a folder"),
        ("train --work WORK --begin WORK", "it has no vae/config.json"),
        ("train --work WORK --begin LARGE", "draws 128 pixels; give a model of 64"),
        ("train --work WORK --decoder-minutes 0", "argument --decoder-minutes: 0 is not above zero"),
        ("train --work WORK --steps 0", "argument --steps: 0 is less than one"),
        ("train --work WORK --batch 2 --processes 3", "--batch 2 has less than one picture for each of 3 processes"),
        ("evaluate --model WORK", "it has no model_index.json"),
        ("evaluate --every 0", "argument --every: 0 is less than one"),
        ("evaluate --sheet WORK/sheet.png", "there is no folder WORK"),
        ("evaluate --sheet sheet", "sheet does not end like a picture"),
        ("upscaler --work WORK --autoencoder WORK", "it has no config.json"),
        ("upscaler --work WORK --autoencoder LARGE/vae", "draws 128 pixels; give the autoencoder of 64"),
        ("upscaler --work WORK --autoencoder GIVEN/vae --out WORK/made", "there is no folder WORK"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line_before_anything_is_made(
    line: str, told: str, begin: Path, tmp_path: Path, monkeypatch, capsys
):
    (tmp_path / "FILE").touch()
    touch_model(tmp_path / "LARGE")
    enlarge.build().save_pretrained(tmp_path / "LARGE" / "vae")
    begin.rename(tmp_path / "GIVEN")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", line.split())
    with pytest.raises(SystemExit):
        MAINS[line.split()[0]]()
    assert told in capsys.readouterr().err.splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def work(begin: Path, tmp_path: Path) -> train.Work:
    """Three drawings of the font, and a folder for what is made of them."""
    args = argparse.Namespace(work=tmp_path / "work", begin=begin, font=data.FONT, device="cpu")
    args.decoder_minutes = args.encoder_minutes = 0.01
    args.work.mkdir()
    listed = [
        data.Drawing(0x1F34E, "red apple"),
        data.Drawing(0x1F411, "sheep"),
        data.Drawing(0x1F4A1, "electric light bulb"),
    ]
    return train.Work(args, listed, data.layers(listed), build_tokenizer([drawing.name for drawing in listed]))


@needs_the_font
def test_what_is_learnt_is_the_scaled_latents_and_the_opacity_of_each_drawing(work: train.Work):
    encoded = work.encoded()
    canvas = data.to_signed(data.canvases(work.listed))
    with torch.no_grad():
        latents = 2 * work.autoencoder().encode(canvas).latents
    assert torch.allclose(encoded[:, :4], latents, atol=1e-4)
    assert torch.equal(encoded[:, 4, 0, 0], -torch.ones(3))
    assert encoded[0, 4, 8, 8] == 1


@needs_the_font
def test_both_halves_of_the_larger_autoencoder_are_trained_from_the_model_to_begin_from(work: train.Work):
    tokenizer = work.tokenizer
    batches = Batches(work.listed, Prompts(tokenizer, data.all_names(work.listed)), work.encoded(), random.Random(0))
    alone = denoiser_training.Team(0, 1, work.folder / "meeting")
    path = work.folder / "denoiser.safetensors"
    denoiser_training.train(Denoiser(tokenizer), batches, Schedule(steps=1), alone, path, batch=2)
    work.enlarge()
    made = checkpoint.read_tensors(work.folder / "enlarged" / "diffusion_pytorch_model.safetensors")
    halfway = checkpoint.read_tensors(work.folder / "decoder.safetensors")
    old = work.autoencoder().state_dict()
    assert not torch.equal(halfway["autoencoder/decoder.layers.2.conv.0.weight"], old["decoder.layers.2.conv.0.weight"])
    changed = {name.split(".")[0] for name in made if not torch.equal(made[name], halfway[f"autoencoder/{name}"])}
    assert changed == {"encoder"}
    assert work.rehearsed().shape == (3, 3, 8, 16, 16)


@needs_the_font
def test_the_denoiser_is_trained_from_the_model_to_begin_from(work: train.Work, monkeypatch):
    monkeypatch.setattr(data, "drawings", lambda font: work.listed)
    work = train.Work.of(work.args)
    given = Denoiser(work.tokenizer)
    given.unet.save_pretrained(work.args.begin / "unet")
    given.text_encoder.save_pretrained(work.args.begin / "text_encoder")
    args = work.args
    args.steps, args.minutes, args.rate, args.batch, args.processes = 1, None, 1e-6, 2, 1
    train.train_denoiser(0, args)
    trained = checkpoint.read_tensors(work.folder / "denoiser.safetensors")
    assert torch.allclose(trained["model/unet.conv_in.weight"], given.unet.conv_in.weight, atol=1e-4)


@needs_the_font
def test_accuracy_counts_core_and_all_and_names_the_misses(work: train.Work, capsys):
    images = list(data.canvases(work.listed))
    evaluate.accuracy(work.listed, [0, 1, 2], Gallery(work.layers), [images[0], images[1], images[1]], "seed 7")
    assert capsys.readouterr().out.splitlines() == [
        "seed 7: core 2 of 2, all 2 of 3",
        "  misses: electric light bulb -> sheep",
    ]


@needs_the_font
def test_a_measurement_draws_every_name_with_the_words_given_and_shows_a_sheet(
    work: train.Work, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setattr(data, "drawings", lambda font: work.listed)
    path = tmp_path / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["evaluate", "--steps", "1", "--seeds", "0", "1", "--words", "blue"])
    sys.argv += ["--core", "--sheet", str(path)]
    evaluate.main()
    told = capsys.readouterr().out
    assert "seed 1: core" in told
    assert "of 2 names have no two seeds that look alike" in told
    pipeline = evaluate.load(emoji.FOLDER)
    prompts = ["red apple blue", "sheep blue"]
    drawn = [list(evaluate.generate(pipeline, prompts, seed, steps=1)) for seed in (0, 1)]
    wanted = evaluate.sheet([drawn[0][0], drawn[1][0], drawn[0][1], drawn[1][1]], 2)
    with Image.open(path) as sheet:
        assert sheet.tobytes() == wanted.tobytes()


def test_a_sheet_has_one_row_a_name_and_one_column_a_seed():
    images = [torch.full((3, 2, 2), value, dtype=torch.uint8) for value in (1, 2, 3, 4, 5, 6)]
    images[1][:, 0, 1] = 9
    sheet = evaluate.sheet(images, 3)
    assert sheet.size == (6, 4)
    assert [sheet.getpixel(place)[0] for place in ((0, 0), (2, 0), (4, 0), (0, 2), (5, 3))] == [1, 2, 3, 4, 6]
    assert sheet.getpixel((3, 0)) == (9, 9, 9)


def test_pictures_to_measure_depend_on_the_seed_alone():
    pipeline = evaluate.load(emoji.FOLDER)
    first, second = evaluate.generate(pipeline, ["red apple"] * 2, seed=0, steps=1)
    (other,) = evaluate.generate(pipeline, ["red apple"], seed=1, steps=1)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
