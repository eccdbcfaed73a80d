"""Training the emoji model: it begins from what is there, goes on where it stopped, and learns words beside looks."""

import random
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from safetensors.torch import load_file

from nbgraph.models import emoji
from nbgraph.models.emoji import bank, checkpoint, denoiser_training, enlarge
from nbgraph.models.emoji.bank import Bank, Batches, write_bank
from nbgraph.models.emoji.data import Drawing, halved
from nbgraph.models.emoji.denoiser import Denoiser
from nbgraph.models.emoji.export import export
from nbgraph.models.emoji.looks import Looks, show
from nbgraph.models.emoji.schedule import Schedule
from nbgraph.models.emoji.text import LOOK_WORDS, Prompts, build_tokenizer

LISTED = [Drawing(1, "airplane"), Drawing(2, "small airplane"), Drawing(3, "leftwards arrow")]
NAMES = [[drawing.name] for drawing in LISTED]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer([drawing.name for drawing in LISTED])


@pytest.fixture(scope="module")
def old() -> AutoencoderTiny:
    """The autoencoder that ships."""
    return AutoencoderTiny.from_pretrained(emoji.FOLDER / "vae", torch_dtype=torch.float32).eval()


@pytest.fixture
def layers() -> torch.Tensor:
    """Three drawings of random blocks."""
    blocks = torch.randint(0, 256, (3, 4, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    blocks[:, :3] = torch.minimum(blocks[:, :3], blocks[:, 3:])
    return blocks.repeat_interleave(16, 2).repeat_interleave(16, 3)


@pytest.fixture
def batches(tokenizer, tmp_path: Path, old: AutoencoderTiny, layers: torch.Tensor, monkeypatch) -> Batches:
    """Batches of the three drawings in four looks each."""
    monkeypatch.setattr(bank, "VARIANTS", 4)
    write_bank(tmp_path / "latents.safetensors", old, LISTED, layers, torch.Generator().manual_seed(0))
    return Batches(
        LISTED, Prompts(tokenizer, NAMES), Bank.read(tmp_path / "latents.safetensors"), 1.5, random.Random(0)
    )


def test_the_words_of_looks_come_after_all_others_so_that_earlier_weights_keep_their_rows(tokenizer):
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    assert vocabulary[4:8] == ["airplane", "arrow", "leftwards", "small"]
    assert vocabulary[8:] == [word.replace(" ", "") for word in LOOK_WORDS if word != "small"]


@pytest.mark.parametrize("typed", ["airplane on blue", "Airplane, on a blue background", "an airplane on blue ground"])
def test_a_ground_is_one_word_however_it_is_typed(tokenizer, typed: str):
    assert tokenizer.convert_ids_to_tokens(tokenizer(typed, add_special_tokens=False).input_ids) == [
        "airplane",
        "onblue",
    ]


def test_a_colour_that_is_no_ground_stays_a_colour(tokenizer):
    assert tokenizer("blue airplane", add_special_tokens=False).input_ids[0] == tokenizer.unk_token_id


def test_the_words_of_a_look_are_at_times_in_the_prompt_but_never_make_another_drawings_name(tokenizer):
    prompts, chance = Prompts(tokenizer, NAMES), random.Random(0)
    small, pale = prompts.looks["small"], prompts.looks["pale"]
    rows = [prompts.draw(0, chance, ["small", "pale"]) for _ in range(400)]
    assert {(small in row, pale in row) for row in rows} >= {(False, False), (False, True), (True, True)}
    taken = prompts.exact[1][0]
    assert not any(tuple(row[1:3]) == taken and row[3] == tokenizer.eos_token_id for row in rows)


def test_the_bank_holds_every_drawing_plain_and_never_a_mirrored_arrow(batches: Batches, layers, old):
    looks = batches.bank.looks
    assert looks.words(0) == looks.words(4) == looks.words(8) == ["on white"]
    assert not looks.mirrored[8:].any()
    with torch.no_grad():
        plain = old.encode(2 * halved(show(layers, Looks.plain(3))) - 1).latents
    assert (batches.bank.latents[:, 0].float() - plain).abs().max() < 0.01


def test_the_larger_encoder_gives_the_latents_that_the_smaller_one_gives_at_half_the_size(old, layers):
    pictures = show(layers[torch.arange(24) % 3], Looks.draw(24, torch.Generator().manual_seed(0)))
    new = enlarge.enlarged(old, pictures[:12])
    with torch.no_grad():
        fine = new.encode(2 * pictures[12:] - 1).latents
        coarse = old.encode(2 * halved(pictures[12:]) - 1).latents
        decoded = new.decode(coarse).sample
    assert (fine - coarse).square().mean().sqrt() < 0.1 * coarse.std()
    assert decoded.shape == (12, 3, 128, 128)
    assert (halved((decoded + 1) / 2) - (old.decode(coarse).sample + 1) / 2).abs().mean() < 0.1


def test_the_larger_decoder_goes_on_training_where_it_stopped(old, layers, tmp_path: Path):
    path = tmp_path / "decoder.safetensors"
    new = enlarge.enlarged(old, show(layers, Looks.plain(3)))
    before = new.encoder.state_dict()["layers.2.conv.0.weight"].clone()
    enlarge.train(new, old, layers, Schedule(steps=1), path)
    other = enlarge.build()
    enlarge.train(other, old, layers, Schedule(steps=1), path)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in new.state_dict().items())
    assert torch.equal(new.encoder.state_dict()["layers.2.conv.0.weight"], before)


def test_the_denoiser_begins_with_the_shipped_weights_and_random_ones_for_new_words():
    words = load_file(emoji.FOLDER / "text_encoder" / "model.safetensors")
    (embedding,) = (value for name, value in words.items() if name.endswith("token_embedding.weight"))
    tokenizer = build_tokenizer([f"word{index}" for index in range(len(embedding) - 4)])
    model = Denoiser(tokenizer)
    model.begin_from(emoji.FOLDER)
    rows = model.text_encoder.get_input_embeddings().weight
    assert torch.equal(rows[: len(embedding)], embedding.float())
    assert rows[len(embedding) :].abs().sum(dim=1).min() > 0
    unet = load_file(emoji.FOLDER / "unet" / "diffusion_pytorch_model.safetensors")
    assert torch.equal(model.unet.conv_in.weight, unet["conv_in.weight"].float())


def test_the_denoiser_goes_on_training_where_it_stopped(batches: Batches, tokenizer, tmp_path: Path):
    path, alone = tmp_path / "denoiser.safetensors", denoiser_training.Team(0, 1, tmp_path / "meeting")
    model = Denoiser(tokenizer)
    denoiser_training.train(model, batches, Schedule(steps=1), alone, path, batch=2)
    resumed, schedule = Denoiser(tokenizer), Schedule(steps=2)
    denoiser_training.train(resumed, batches, schedule, alone, path, batch=2)
    assert schedule.step == 2
    change = resumed.unet.conv_in.weight - model.unet.conv_in.weight
    assert 0 < change.abs().max() < 0.01


def test_what_was_trained_is_exported_as_a_plain_pipeline_of_128_pixels(
    batches: Batches, tokenizer, old, tmp_path: Path
):
    alone = denoiser_training.Team(0, 1, tmp_path / "meeting")
    denoiser_training.train(
        Denoiser(tokenizer), batches, Schedule(steps=1), alone, tmp_path / "denoiser.safetensors", batch=2
    )
    enlarge.enlarged(old, torch.rand(2, 3, 128, 128)).save_pretrained(tmp_path / "enlarged")
    export(tmp_path, tmp_path / "out", tokenizer)
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "out", dtype=torch.float32, safety_checker=None)
    made = pipeline("small airplane on blue", num_inference_steps=1, output_type="pt", generator=torch.manual_seed(0))
    assert made.images.shape == (1, 3, 128, 128)
    assert pipeline.vae.config.scaling_factor == old.config.scaling_factor
    assert "onblue" in pipeline.tokenizer.get_vocab()


def test_minutes_are_counted_by_the_clock_given():
    ticks = iter(range(100))
    schedule = Schedule(minutes=0.1, spent=3, clock=lambda: 1.0 * next(ticks))
    assert [progress for _, progress in schedule] == [pytest.approx(4 / 6), pytest.approx(5 / 6)]


def test_an_interrupted_write_leaves_the_checkpoint_before_it(tmp_path: Path, monkeypatch):
    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    checkpoint.save(tmp_path / "state.safetensors", {"model": module}, optimizer, step=3)
    monkeypatch.setattr(checkpoint, "save_file", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path / "state.safetensors", {"model": module}, optimizer, step=4)
    assert checkpoint.load(tmp_path / "state.safetensors", {"model": module}, optimizer) == {"step": 3}
