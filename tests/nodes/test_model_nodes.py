"""Nodes around a model, on tiny random ones: each changes what it should, and the plain model is as it was."""

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.errors import GraphError, NbgraphWarning, NodeError
from nbgraph.invocations import (
    BlankImage,
    BlendLatents,
    ClipSkip,
    Collect,
    ControlNet,
    CreateDenoiseMask,
    DenoiseLatents,
    FreeU,
    ImageToLatents,
    LatentsToImage,
    LoraLoader,
    ModelLoader,
    Noise,
    Prompt,
    Scheduler,
    Seamless,
    VaeLoader,
)
from tests.tiny_models import build_controlnet, build_sd15

STEPS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Stable Diffusion 1.5, and beside it a ControlNet, a LoRA and a VAE for it."""
    made = tmp_path_factory.mktemp("models")
    build_sd15(made / "sd15")
    build_controlnet(made / "control", made / "sd15")
    torch.manual_seed(5)
    pipeline = StableDiffusionPipeline.from_pretrained(made / "sd15", local_files_only=True)
    pipeline.unet.add_adapter(LoraConfig(r=4, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    layers = get_peft_model_state_dict(pipeline.unet)
    StableDiffusionPipeline.save_lora_weights(str(made), unet_lora_layers=layers, weight_name="lora.safetensors")
    AutoencoderKL.from_pretrained(made / "sd15", subfolder="vae", local_files_only=True).save_pretrained(made / "vae")
    return made


@pytest.fixture(scope="module")
def studio():
    """One studio for all, so that the model is loaded once."""
    with nb.Studio() as made:
        yield made


@pytest.fixture
def model(folder):
    return ModelLoader(model=str(folder / "sd15"))


def denoise(model, unet=None, clip=None, **inputs):
    """The denoise node of a small picture, with parts of the model replaced."""
    clip = clip or model
    text = Prompt(text="a red apple", clip=clip)
    given = {"noise": Noise(unet=model, seed=7), "steps": STEPS, "cfg_scale": 4.0, **inputs}
    return DenoiseLatents(unet=unet or model, positive=text, negative=Prompt(text="", clip=clip), **given)


@pytest.fixture
def drawn(result):
    """The latents that a node gives, as a tensor."""
    return lambda node: result(node).latents.tensor()


def test_a_lora_changes_the_picture_and_leaves_the_plain_model_alone(folder, model, drawn, studio):
    def with_lora(weight):
        lora = LoraLoader(lora=folder / "lora.safetensors", weight=weight, unet=model, clip=model)
        return denoise(model, unet=lora, clip=lora)

    before = drawn(denoise(model))
    strong, weak, none = (drawn(with_lora(weight)) for weight in (1.0, 0.3, 0.0))
    studio.cache.clear()
    assert torch.equal(drawn(denoise(model)), before)
    assert (strong - before).abs().max() > (weak - before).abs().max() > 1e-4
    assert torch.allclose(none, before, atol=1e-5)


def test_a_lora_is_part_of_the_cache_key(folder, model, studio):
    lora = LoraLoader(id="lora", lora=folder / "lora.safetensors", unet=model, clip=model)
    node = denoise(model, unet=lora, clip=lora, id="denoise")

    def cached(**values):
        rows = studio.run(node, {f"lora.{name}": value for name, value in values.items()}, progress=False).stats
        return bool(rows[rows.source == "denoise"].cached.iloc[0])

    assert [cached(), cached(), cached(weight=0.5), cached(weight=0.5)] == [False, True, False, True]


def test_loras_that_cannot_be_are_refused(folder, model, studio, tmp_path):
    (tmp_path / "lora.ckpt").write_bytes(b"no")
    for file, text in ((tmp_path / "none.safetensors", "there is no file"), (tmp_path / "lora.ckpt", "never loaded")):
        with pytest.raises(GraphError, match=text):
            studio.run(denoise(model, unet=LoraLoader(lora=file, unet=model, clip=model)), progress=False)
    once = LoraLoader(lora=folder / "lora.safetensors", unet=model, clip=model)
    twice = LoraLoader(lora=folder / "lora.safetensors", unet=once, clip=once)
    with pytest.raises(GraphError, match="is applied to this model already"):
        studio.run(denoise(model, unet=twice), progress=False)


def test_clip_skip_freeu_and_seamless_each_change_the_picture(model, drawn, result):
    plain = drawn(denoise(model))
    skipped = drawn(denoise(model, clip=ClipSkip(clip=model, skipped_layers=1)))
    wrapped = Seamless(unet=model, vae=model)
    for other in (skipped, drawn(denoise(model, unet=FreeU(unet=model))), drawn(denoise(model, unet=wrapped))):
        assert (other - plain).abs().max() > 1e-5
    nothing = Seamless(unet=model, vae=model, seamless_x=False, seamless_y=False)
    assert torch.equal(drawn(denoise(model, unet=nothing)), plain)
    assert result(LatentsToImage(latents=denoise(model, unet=wrapped), vae=wrapped)).image.size == (64, 64)


def test_a_scheduler_may_be_linked(model, drawn):
    linked = drawn(denoise(model, scheduler=Scheduler(scheduler="euler")))
    assert torch.equal(linked, drawn(denoise(model, scheduler="euler")))
    assert not torch.equal(linked, drawn(denoise(model, scheduler="ddim")))


def test_a_mask_keeps_what_is_black_and_frees_what_is_white(model, drawn, put):
    mask = PillowImage.new("L", (64, 64))
    mask.paste(255, (32, 0, 64, 64))
    picture = ImageToLatents(image=BlankImage(width=64, height=64, color="orange"), vae=model)
    inputs = {"latents": picture, "denoising_start": 0.3}
    kept, free = drawn(picture), drawn(denoise(model, **inputs))
    half = drawn(denoise(model, **inputs, denoise_mask=CreateDenoiseMask(mask=put(mask))))
    middle = half.shape[-1] // 2
    assert torch.allclose(half[..., :middle], kept[..., :middle], atol=1e-5)
    assert (half[..., middle:] - kept[..., middle:]).abs().max() > 1e-3
    white = CreateDenoiseMask(mask=put(PillowImage.new("L", (64, 64), 255)))
    assert torch.allclose(drawn(denoise(model, **inputs, denoise_mask=white)), free, atol=1e-5)


def test_a_mask_without_latents_is_refused_before_the_run(model, studio, put):
    mask = CreateDenoiseMask(mask=put(PillowImage.new("L", (64, 64), 255)))
    with pytest.raises(GraphError, match="denoise_mask: needs latents, which it keeps"):
        studio.run(denoise(model, denoise_mask=mask), progress=False)


def test_a_mask_of_another_shape_is_refused_before_a_step_and_one_of_another_size_is_resized(model, studio, drawn, put):
    picture = put(PillowImage.linear_gradient("L").resize((64, 64)).convert("RGB"))

    def masked(size, **more):
        mask = PillowImage.new("L", size)
        mask.paste(255, (0, 0, size[0] // 2, size[1]))
        latents = ImageToLatents(image=picture, vae=model)
        given = CreateDenoiseMask(mask=put(mask), **more)
        return denoise(model, latents=latents, denoising_start=0.4, denoise_mask=given)

    assert torch.equal(drawn(masked((64, 64))), drawn(masked((128, 128))))
    with pytest.raises(NodeError, match="the mask is 64 x 32, and the image 64 x 64, of another shape; put Resize"):
        studio.run(masked((64, 32)), progress=False)
    with pytest.raises(GraphError, match="mask: is 64 x 32, and the image 64 x 64, of another shape"):
        studio.run(masked((64, 32), image=picture, vae=model), progress=False)


def test_controlnets_steer_one_or_several(folder, model, drawn, put):
    picture = put(PillowImage.linear_gradient("L").resize((64, 64)))

    def control(weight):
        return ControlNet(image=picture, control_model=str(folder / "control"), control_weight=weight)

    plain, one = drawn(denoise(model)), drawn(denoise(model, control=control(0.8)))
    two = drawn(denoise(model, control=Collect(item=[control(0.8), control(0.4)])))
    assert (one - plain).abs().max() > 1e-3
    assert (two - one).abs().max() > 1e-3
    assert torch.equal(drawn(denoise(model)), plain)


def test_a_model_that_is_no_controlnet_or_vae_is_refused(folder, model, studio, put):
    picture = put(PillowImage.new("RGB", (64, 64)))
    with pytest.raises(GraphError, match=r"controlnet\.control_model: .*has no component 'controlnet'"):
        studio.run(
            denoise(model, control=ControlNet(image=picture, control_model=str(folder / "sd15"))), progress=False
        )
    with pytest.raises(GraphError, match=r"vae_loader\.vae_model: .*no model"):
        studio.run(ImageToLatents(image=picture, vae=VaeLoader(vae_model="nowhere")), progress=False)
    late = ControlNet(image=picture, control_model=str(folder / "control"), begin_step_percent=1.0)
    with pytest.raises(GraphError, match="must be more than begin_step_percent"):
        studio.run(late, progress=False)


def test_another_vae_decodes(folder, model, result):
    latents = denoise(model)
    own = result(LatentsToImage(latents=latents, vae=model)).image
    other = result(LatentsToImage(latents=latents, vae=VaeLoader(vae_model=str(folder / "vae")))).image
    assert own.tobytes() == other.tobytes()


def test_blended_latents_lie_between(model, drawn, studio):
    first, second = Noise(unet=model, seed=1), Noise(unet=model, seed=2)

    def noise(node):
        return studio.run(node, progress=False)[node].noise.tensor()

    def blend(alpha):
        return drawn(BlendLatents(latents_a=first, latents_b=second, alpha=alpha))

    assert torch.allclose(blend(0.0), noise(first), atol=1e-5)
    assert torch.allclose(blend(1.0), noise(second), atol=1e-5)
    small = Noise(unet=model, seed=1, width=32, height=32)
    with pytest.raises(NodeError, match="cannot be blended; resize one"):
        drawn(BlendLatents(latents_a=first, latents_b=small))


def test_steps_that_leave_none_to_do_are_refused_before_a_run(studio, model):
    for inputs, problem in (
        (
            {"denoising_start": 0.9},
            "denoising_start: is 0.9, and 3 steps have none from 0.9 to 1; give at most 0.666667",
        ),
        ({"denoising_end": 0.1}, "denoising_end: is 0.1, and 3 steps have none from 0 to 0.1; give at least 0.333333"),
    ):
        with pytest.raises(GraphError, match=problem):
            studio.run(denoise(model, **inputs), progress=False)
    with pytest.raises(GraphError, match="or take at least 5 steps"):
        studio.run(denoise(model, denoising_start=0.9), progress=False)


def test_latents_that_stopped_part_way_go_on_where_they_stopped(studio, model):
    half = denoise(model, denoising_end=2 / 3)
    rest = denoise(model, denoising_start=1 / 3, noise=None, latents=half)
    with pytest.raises(NodeError, match="stopped at step 2 of 3 by 'default'.*go on with denoising_start=0.666667"):
        studio.run(rest, progress=False)
    rest.denoising_start = 2 / 3
    assert studio.run(rest, progress=False)[rest].width == 64


def test_latents_without_noise_are_warned_about(studio, model):
    """Of an encoded picture, and of what was denoised to the end; not of noise, nor of latents that stopped."""
    encoded = ImageToLatents(image=BlankImage(width=64, height=64), vae=model)
    for finished in (encoded, denoise(model, id="whole")):
        with pytest.warns(NbgraphWarning, match="hold no noise to remove; link Noise to noise"):
            studio.run(denoise(model, denoising_start=2 / 3, noise=None, latents=finished), progress=False)
    studio.run(denoise(model, denoising_start=2 / 3, latents=encoded), progress=False)
    noise = Noise(unet=model, seed=1, width=64, height=64)
    first = denoise(model, denoising_end=2 / 3, noise=None, latents=noise)
    studio.run(denoise(model, denoising_start=2 / 3, noise=None, latents=first), progress=False)


def test_a_run_leaves_the_global_random_state_alone(folder, model):
    lora = LoraLoader(lora=folder / "lora.safetensors", unet=model, clip=model)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with nb.Studio() as fresh:
        fresh.run(LatentsToImage(latents=denoise(model, unet=lora, scheduler="euler_a"), vae=model), progress=False)
    assert torch.equal(torch.get_rng_state(), before)
