"""Training the emoji model: it begins from what is there, goes on where it stopped, and ends in a pipeline."""

import json
import random
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline

from nbgraph.models.emoji import autoencoder, checkpoint, denoiser_training, enlarge, rehearsal
from nbgraph.models.emoji.batches import Batches
from nbgraph.models.emoji.data import Drawing
from nbgraph.models.emoji.denoiser import Denoiser, build_scheduler
from nbgraph.models.emoji.export import assemble, export
from nbgraph.models.emoji.grounds import Grounds, evened, lay
from nbgraph.models.emoji.layout import CHANNELS, DRAWN, WEIGHT
from nbgraph.models.emoji.schedule import Schedule
from nbgraph.models.emoji.text import Prompts, build_tokenizer

LISTED = [Drawing(1, "airplane"), Drawing(2, "small airplane"), Drawing(3, "leftwards arrow")]
NAMES = [[drawing.name] for drawing in LISTED]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer([drawing.name for drawing in LISTED])


@pytest.fixture
def old() -> AutoencoderTiny:
    """An untrained autoencoder of 64 pixels."""
    torch.manual_seed(0)
    return autoencoder.build().eval()


@pytest.fixture
def layers() -> torch.Tensor:
    """Three drawings of random blocks."""
    blocks = torch.randint(0, 256, (3, 4, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    blocks[:, :3] = torch.minimum(blocks[:, :3], blocks[:, 3:])
    return blocks.repeat_interleave(16, 2).repeat_interleave(16, 3)


@pytest.fixture
def encoded() -> torch.Tensor:
    """Latents of the three drawings and their opacity."""
    return torch.randn(3, DRAWN, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def batches(tokenizer, encoded: torch.Tensor) -> Batches:
    return Batches(LISTED, Prompts(tokenizer, NAMES), encoded, random.Random(0))


def test_the_vocabulary_is_sorted_so_that_earlier_weights_keep_their_rows(tokenizer):
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    assert vocabulary[4:] == ["airplane", "arrow", "leftwards", "small"]


def test_a_prompt_is_at_times_empty_shortened_or_interrupted(tokenizer):
    prompts, chance = Prompts(tokenizer, NAMES), random.Random(0)
    rows = [prompts.draw(1, chance) for _ in range(500)]
    known = [[token for token in row[1:] if token >= 4] for row in rows]
    small, airplane = prompts.exact[1][0]
    assert 20 < sum(tokenizer.unk_token_id in row for row in rows) < 100
    assert 20 < sum(not words for words in known) < 100
    assert {tuple(words) for words in known if words} == {(small, airplane), (small,)}  # "airplane" is another's name


def test_a_batch_holds_each_drawing_as_encoded_on_an_even_ground(batches: Batches, encoded):
    latents, tokens = batches.draw(40)
    assert latents.shape == (40, CHANNELS, 16, 16)
    assert torch.cdist(latents[:, :DRAWN].flatten(1), encoded.flatten(1)).amin(dim=1).max() < 0.1
    assert torch.allclose(evened(latents[:, DRAWN:]), latents[:, DRAWN:], atol=1e-4)


def test_a_prompt_says_what_its_latents_show(batches: Batches, encoded):
    latents, tokens = batches.draw(200)
    shown = torch.cdist(latents[:, :DRAWN].flatten(1), encoded.flatten(1)).argmin(dim=1)
    of_arrow = {token for words in batches.prompts.exact[2] for token in words}
    says_arrow = torch.tensor([not of_arrow.isdisjoint(row) for row in tokens.tolist()])
    assert says_arrow.any()
    assert (shown[says_arrow] == 2).all()
    assert (~says_arrow[shown == 2]).float().mean() < 0.3  # an empty prompt says nothing


def test_core_drawings_are_shown_three_times_as_often(tokenizer, encoded):
    listed = [Drawing(0x1F600, "airplane"), *LISTED[1:]]
    batches = Batches(listed, Prompts(tokenizer, NAMES), encoded, random.Random(0))
    shown = torch.cdist(batches.draw(1000)[0][:, :DRAWN].flatten(1), encoded.flatten(1)).argmin(dim=1)
    assert (shown == 0).float().mean().item() == pytest.approx(3 / 5, abs=0.05)


def test_what_the_denoiser_misdrew_is_learnt_from_the_drawing_itself(tokenizer, encoded, monkeypatch):
    made = torch.cat([encoded, torch.zeros(3, 3, 16, 16)], dim=1) + 0.1
    made[2, :DRAWN] = encoded[0]
    monkeypatch.setattr(rehearsal, "latents_of", lambda *_: made.clone())
    variants = rehearsal.rehearse(None, [drawing.name for drawing in LISTED], encoded)
    assert variants.shape == (3, 3, CHANNELS, 16, 16)
    assert torch.equal(variants[:2, 1, :DRAWN], made[:2, :DRAWN])
    assert torch.equal(variants[2, 1, :DRAWN], encoded[2])
    assert torch.allclose(variants[:, :, DRAWN:], torch.zeros(()), atol=1e-4)


def test_a_drawing_that_only_its_opacity_tells_from_another_is_not_misdrawn(encoded, monkeypatch):
    encoded[1, :4] = encoded[0, :4]
    made = torch.cat([encoded, torch.zeros(3, 3, 16, 16)], dim=1)
    made[:, 0] += 0.1
    monkeypatch.setattr(rehearsal, "latents_of", lambda *_: made.clone())
    variants = rehearsal.rehearse(None, [drawing.name for drawing in LISTED], encoded)
    assert torch.equal(variants[:, 1, :DRAWN], made[:, :DRAWN])


def test_a_rehearsal_is_of_every_seed_and_of_all_names_in_parts(encoded, monkeypatch):
    names = [str(number) for number in range(130)]
    encoded = torch.randn(130, DRAWN, 16, 16, generator=torch.Generator().manual_seed(0))
    asked: dict[int, list[list[str]]] = {}

    def latents_of(_: object, part: list[str], seed: int) -> torch.Tensor:
        asked.setdefault(seed, []).append(part)
        drawn = encoded[[int(name) for name in part]] + 0.1 * (seed - 999)
        return torch.cat([drawn, torch.zeros(len(part), 3, 16, 16)], dim=1)

    monkeypatch.setattr(rehearsal, "latents_of", latents_of)
    variants = rehearsal.rehearse(None, names, encoded)
    assert list(asked) == [1000, 1001]
    assert all(sum(parts, []) == names and max(map(len, parts)) <= 64 for parts in asked.values())
    for index in range(3):
        assert torch.allclose(variants[:, index, :DRAWN], encoded + 0.1 * index, atol=1e-5)


def test_a_rehearsal_draws_every_name_from_the_noise_of_its_seed(old, batches, tokenizer, encoded, tmp_path: Path):
    alone = denoiser_training.Team(0, 1, tmp_path / "meeting")
    path = tmp_path / "denoiser.safetensors"
    denoiser_training.train(Denoiser(tokenizer), batches, Schedule(steps=1), alone, path, batch=2)
    pipeline = assemble(tmp_path, tokenizer, enlarge.enlarged(old), torch.float32)
    first, again, other = (rehearsal.latents_of(pipeline, ["airplane", "arrow"], seed) for seed in (1, 1, 2))
    twice = rehearsal.latents_of(pipeline, ["arrow", "arrow"], 1)
    assert first.shape == (2, CHANNELS, 16, 16)
    assert torch.allclose(*twice, atol=1e-4)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.1)


def test_examples_pair_latents_with_the_picture_they_stand_for(layers, encoded):
    uneven = torch.zeros(3, 1, CHANNELS - DRAWN, 16, 16)
    uneven[..., 0, 0] = 0.5
    drawn = torch.cat([encoded[:, None], uneven], dim=2)
    examples = enlarge.Examples(layers, drawn, torch.tensor([True, False, False]))
    latents, pictures = examples.draw(20, torch.Generator().manual_seed(0))
    ground = latents[:, DRAWN:].clone()
    ground[..., 0, 0] -= 0.5
    assert torch.allclose(evened(ground), ground, atol=1e-4)
    chosen = torch.cdist(latents[:, :DRAWN].flatten(1), encoded.flatten(1)).argmin(dim=1)
    scores = Grounds(torch.zeros(20, 3, 3))
    places = scores.field(128)
    middle = ground.mean(dim=(2, 3)) / WEIGHT
    across = (ground[..., -1] - ground[..., 0]).mean(dim=2) / WEIGHT / (2 * 15 / 16)
    down = (ground[..., -1, :] - ground[..., 0, :]).mean(dim=2) / WEIGHT / (2 * 15 / 16)
    wanted = lay(layers[chosen], Grounds(torch.stack([middle, across, down], dim=2)).colours(places.shape[-1]))
    assert torch.allclose((pictures + 1) / 2, wanted, atol=1e-3)


def test_examples_show_core_drawings_twice_as_often_and_all_that_was_drawn(layers, encoded):
    drawn = torch.cat([encoded, torch.zeros(3, CHANNELS - DRAWN, 16, 16)], dim=1)
    variants = torch.stack([drawn, drawn + 100], dim=1)
    examples = enlarge.Examples(layers, variants, torch.tensor([True, False, False]))
    latents, _ = examples.draw(600, torch.Generator().manual_seed(0))
    second = latents[:, 0].mean(dim=(1, 2)) > 50
    assert second.float().mean().item() == pytest.approx(0.5, abs=0.07)
    latents[second] -= 100
    shown = torch.cdist(latents[:, :DRAWN].flatten(1), encoded.flatten(1)).argmin(dim=1)
    assert (shown == 0).float().mean().item() == pytest.approx(0.5, abs=0.07)


def test_the_decoder_learns_from_latents_with_errors_of_the_size_that_a_denoiser_leaves():
    torch.manual_seed(0)
    errors = enlarge.noised(torch.zeros(50, CHANNELS, 16, 16)).std(dim=(0, 2, 3))
    wanted = torch.tensor([0.07] * DRAWN + [0.2 * WEIGHT] * (CHANNELS - DRAWN))
    assert torch.allclose(errors, wanted, rtol=0.05)


@pytest.fixture
def scaled(old) -> AutoencoderTiny:
    """An untrained autoencoder of 128 pixels that scales its latents."""
    old.register_to_config(scaling_factor=2.0)
    return enlarge.enlarged(old)


def test_a_decoder_is_right_when_it_decodes_unscaled_latents_with_errors_to_the_picture(scaled):
    latents = 0.5 * torch.randn(4, CHANNELS, 16, 16)
    with torch.no_grad():
        pictures = scaled.decode(latents / 2).sample
        first, again = (enlarge.decoder_loss(scaled, latents, pictures)[0] for _ in range(2))
        wrong, _ = enlarge.difference(scaled.decode(latents).sample, pictures)
    assert first != again
    assert first < 0.3 * wrong


def test_an_encoder_is_right_when_it_gives_scaled_latents_that_decode_to_the_picture(scaled):
    pictures = 2 * torch.rand(2, 3, 128, 128) - 1
    with torch.no_grad():
        latents = 2 * scaled.encode(pictures).latents
        total, none = enlarge.encoder_loss(scaled, latents, pictures)
        decoded, _ = enlarge.difference(scaled.decode(latents / 2).sample, pictures)
        latents[:, DRAWN:] += WEIGHT
        _, by_one_deviation_of_the_grounds = enlarge.encoder_loss(scaled, latents, pictures)
    assert none < 1e-3
    assert total.item() == pytest.approx(decoded.item(), rel=1e-3)
    assert by_one_deviation_of_the_grounds.item() == pytest.approx((3 / 8) ** 0.5, abs=0.01)


def test_edges_across_and_down_count_alike():
    torch.manual_seed(0)
    first, second = torch.rand(2, 1, 3, 16, 16)
    lines = torch.linspace(-1, 1, 16).expand(1, 3, 16, 16)
    assert enlarge.difference(first + lines, second)[0].item() == pytest.approx(
        enlarge.difference((first + lines).mT, second.mT)[0].item()
    )


def test_the_larger_decoder_begins_with_what_the_smaller_one_draws(old):
    torch.manual_seed(0)
    latents = torch.cat([torch.randn(2, 4, 16, 16), torch.zeros(2, 4, 16, 16)], dim=1)
    with torch.no_grad():
        large = enlarge.enlarged(old).decode(latents).sample
        small = old.decode(latents[:, :4]).sample
    assert large.shape == (2, 3, 128, 128)
    assert torch.nn.functional.l1_loss(torch.nn.functional.avg_pool2d(large, 2), small) < 0.3 * small.std()


@pytest.mark.parametrize("part", ["decoder", "encoder"])
def test_a_half_of_the_larger_autoencoder_goes_on_training_where_it_stopped(
    part: str, old, layers, encoded, tmp_path: Path
):
    drawn = torch.cat([encoded, torch.zeros(3, CHANNELS - DRAWN, 16, 16)], dim=1)[:, None]
    examples = enlarge.Examples(layers, drawn, torch.tensor([True, False, False]))
    path, new = tmp_path / "half.safetensors", enlarge.enlarged(old)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    first = Schedule(steps=1)
    enlarge.train(new, part, examples, first, path)
    changed = {name.split(".")[0] for name, value in new.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {part}
    other, schedule = enlarge.build(), Schedule(steps=1)
    enlarge.train(other, part, examples, schedule, path)
    assert schedule.step == 1
    assert schedule.spent >= first.spent > 0
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in new.state_dict().items())


def test_the_denoiser_begins_with_given_weights_random_ones_for_new_words_and_new_channels_unseen(
    tokenizer, tmp_path: Path
):
    torch.manual_seed(0)
    given = Denoiser(tokenizer)
    folder = {"unet": "diffusion_pytorch_model.safetensors", "text_encoder": "model.safetensors"}
    fewer = given.unet.state_dict()
    fewer["conv_in.weight"] = fewer["conv_in.weight"][:, :4]
    fewer["conv_out.weight"], fewer["conv_out.bias"] = fewer["conv_out.weight"][:4], fewer["conv_out.bias"][:4]
    for part, weights in (("unet", fewer), ("text_encoder", given.text_encoder.state_dict())):
        (tmp_path / part).mkdir()
        checkpoint.write_tensors({k: v.contiguous() for k, v in weights.items()}, tmp_path / part / folder[part])
    model = Denoiser(build_tokenizer([drawing.name for drawing in LISTED] + ["zebra"]))
    model.begin_from(tmp_path)
    rows = model.text_encoder.get_input_embeddings().weight
    known = given.text_encoder.get_input_embeddings().weight
    assert torch.equal(rows[: len(known)], known)
    assert rows[len(known) :].abs().sum(dim=1).min() > 0
    latents, times, words = torch.randn(2, CHANNELS, 16, 16), torch.tensor([10, 500]), torch.randn(2, 16, 128)
    with torch.no_grad():
        drawn = model.unet(latents, times, words).sample
        unseen = model.unet(latents * torch.tensor([1, 1, 1, 1, 0, 0, 0, 0]).view(8, 1, 1), times, words).sample
    assert torch.equal(drawn, unseen)
    assert not drawn[:, 4:].any()
    assert drawn[:, :4].abs().max() > 0


class Knowing(torch.nn.Module):
    """Stands for a UNet that has learnt latents of 0.5 everywhere, and keeps the times it was asked for."""

    def forward(self, noisy: torch.Tensor, times: torch.Tensor, words: torch.Tensor, return_dict: bool):
        scheduler, latents, self.times = build_scheduler(), torch.full_like(noisy, 0.5), times
        signal = scheduler.alphas_cumprod[times].view(-1, 1, 1, 1)
        noise = (noisy - signal.sqrt() * latents) / (1 - signal).sqrt()
        return (scheduler.get_velocity(latents, noise, times),)


def test_the_denoiser_learns_the_velocity_that_its_scheduler_means_and_late_times_first(tokenizer):
    torch.manual_seed(0)
    model = Denoiser(tokenizer)
    model.unet = Knowing()
    latents, tokens = torch.full((100, CHANNELS, 16, 16), 0.5), torch.zeros(100, 16, dtype=torch.long)
    for lateness, mean in ((1.0, 500), (0.5, 667)):
        assert model(latents, tokens, lateness) < 1e-3
        assert model.unet.times.float().mean().item() == pytest.approx(mean, abs=20)


def test_the_schedule_begins_with_pure_noise_and_keeps_latents_beyond_one():
    scheduler = build_scheduler()
    assert scheduler.alphas_cumprod[-1] < 1e-6
    scheduler.set_timesteps(2)
    sample = torch.full((1, CHANNELS, 16, 16), 3.0)
    assert scheduler.step(-sample, scheduler.timesteps[0], sample).pred_original_sample.max() > 2.9


def test_the_denoiser_goes_on_training_where_it_stopped(batches: Batches, tokenizer, tmp_path: Path):
    path, alone = tmp_path / "denoiser.safetensors", denoiser_training.Team(0, 1, tmp_path / "meeting")
    model, first = Denoiser(tokenizer), Schedule(steps=1)
    denoiser_training.train(model, batches, first, alone, path, batch=2)
    resumed, schedule = Denoiser(tokenizer), Schedule(steps=2)
    denoiser_training.train(resumed, batches, schedule, alone, path, batch=2)
    assert schedule.step == 2
    assert schedule.spent > first.spent > 0
    change = resumed.unet.conv_in.weight - model.unet.conv_in.weight
    assert 0 < change.abs().max() < 0.01


def test_what_was_trained_is_exported_as_a_plain_pipeline_of_128_pixels(
    batches: Batches, tokenizer, old, tmp_path: Path
):
    alone = denoiser_training.Team(0, 1, tmp_path / "meeting")
    denoiser_training.train(
        Denoiser(tokenizer), batches, Schedule(steps=7), alone, tmp_path / "denoiser.safetensors", batch=2
    )
    enlarge.enlarged(old).save_pretrained(tmp_path / "enlarged")
    export(tmp_path, tmp_path / "out", tokenizer)
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "out", dtype=torch.float32, safety_checker=None)
    made = pipeline("small airplane", num_inference_steps=1, output_type="pt", generator=torch.manual_seed(0))
    assert made.images.shape == (1, 3, 128, 128)
    assert pipeline.vae.config.scaling_factor == old.config.scaling_factor
    assert pipeline.tokenizer.get_vocab() == tokenizer.get_vocab()
    trained = checkpoint.read_tensors(tmp_path / "denoiser.safetensors")
    averaged = trained["average/module.unet.conv_in.weight"].half()
    exported = checkpoint.read_tensors(tmp_path / "out" / "unet" / "diffusion_pytorch_model.safetensors")
    assert not torch.equal(averaged, trained["model/unet.conv_in.weight"].half())
    assert exported["conv_in.weight"].dtype == torch.float16
    assert torch.equal(exported["conv_in.weight"], averaged)
    assert "block_out_channels" not in json.loads((tmp_path / "out" / "vae" / "config.json").read_text())


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


def test_an_interrupted_write_of_a_folder_is_not_taken_for_a_whole_one(tmp_path: Path):
    def interrupted() -> None:
        with checkpoint.whole(tmp_path / "model") as unfinished:
            unfinished.mkdir()
            (unfinished / "part").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not (tmp_path / "model").exists()
    with checkpoint.whole(tmp_path / "model") as unfinished:
        unfinished.mkdir()
    assert not any((tmp_path / "model").iterdir())
