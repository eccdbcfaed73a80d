"""Single-file checkpoints: the same weights and pictures as the folder they were made of, without a network."""

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import nbgraph as nb
from nbgraph.diffusion import known_models
from nbgraph.diffusion.description import check_weights, describe_model
from nbgraph.diffusion.known_models import known_model, known_names, make_tokenizer
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelPart, ModelRef
from nbgraph.errors import GraphError, ModelError
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt
from tests.diffusion.models import TinyModels
from tests.tiny_models.headers import full_size, only, without, write_header
from tests.tiny_models.single_files import write_single_file

FAMILIES = ("sd15", "sd2", "sdxl", "sd3")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def files(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    return {name: write_single_file(folder / f"{name}.safetensors", Path(tiny[name].path)) for name in FAMILIES}


def beside(folder: str) -> tuple[ModelPart, ...]:
    return (ModelPart.from_path("rest", folder),)


def weights(module: Any) -> dict[str, torch.Tensor]:
    return dict(module.state_dict())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_single_file_has_the_weights_of_the_folder_it_was_made_of(tiny, files, name):
    cache = ModelCache(device="cpu")
    plain = tiny[name]
    single = ModelRef.from_path(str(files[name]), parts=beside(plain.path))
    parts = [each for each in describe_model(plain).classes if each != "scheduler"]
    with cache.use(plain, *parts) as expected, cache.use(single, *parts) as found:
        for part in parts:
            if isinstance(expected[part], torch.nn.Module):
                assert found.model.sources[part].file == files[name]
                own, other = weights(found[part]), weights(expected[part])
                assert own.keys() == other.keys()
                assert all(torch.equal(own[key], other[key]) for key in own), part


def picture(studio: nb.Studio, **loader: Any) -> Any:
    model = ModelLoader(**loader)
    denoise = DenoiseLatents(
        unet=model, noise=Noise(unet=model, seed=3, width=64, height=64), steps=2,
        positive=Prompt(text="a red cat", clip=model), negative=Prompt(text="", clip=model),
    )  # fmt: skip
    image = LatentsToImage(id="image", vae=model, latents=denoise)
    return studio.run(image, progress=False)[image].image


@pytest.mark.parametrize("name", FAMILIES)
def test_a_single_file_draws_the_picture_of_its_folder(tiny, files, name):
    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0)) as studio:
        expected = picture(studio, model=tiny[name].path)
        found = picture(studio, model=str(files[name]), parts=tiny[name].path)
        assert found.tobytes() == expected.tobytes()


def test_components_of_a_file_are_loaded_once_and_shared_with_a_copy_of_it(tiny, files, tmp_path):
    cache = ModelCache(device="cpu")
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(files["sd15"].read_bytes())
    parts = beside(tiny["sd15"].path)
    refs = [ModelRef.from_path(str(file), parts=parts) for file in (files["sd15"], copy)]
    with cache.use(refs[0], "denoiser") as first, cache.use(refs[1], "denoiser") as second:
        assert first["unet"] is second["unet"]
    assert cache.counters().loads == 1


def test_what_a_file_does_not_hold_is_shared_with_the_model_beside_it(tiny, tmp_path):
    cache, plain = ModelCache(device="cpu"), tiny["sd15"]
    file = write_single_file(tmp_path / "unet.safetensors", Path(plain.path), leave_out=("vae", "text_encoder"))
    mixed = ModelRef.from_path(str(file), parts=beside(plain.path))
    with cache.use(plain, "vae", "text") as own, cache.use(mixed, "vae", "text") as other:
        assert own["vae"] is other["vae"]
        assert own["text_encoder"] is other["text_encoder"]


def test_half_precision_files_are_read_in_the_precision_of_the_device(tiny, tmp_path):
    plain = tiny["sdxl"]
    file = write_single_file(tmp_path / "half.safetensors", Path(plain.path), torch.float16)
    single = ModelRef.from_path(str(file), parts=beside(plain.path))
    with ModelCache(device="cpu").use(single, "denoiser", "text") as found:
        assert {tensor.dtype for part in ("unet", "text_encoder_2") for tensor in found[part].parameters()} == {
            torch.float32
        }


@pytest.mark.parametrize(
    ("size", "parts"),
    [("sd1", 3), ("sdxl", 4), ("sd3-medium", 5), ("flux-dev", 4)],
)
def test_full_size_checkpoints_have_exactly_the_tensors_that_the_shipped_configuration_wants(tmp_path, size, parts):
    file = write_header(tmp_path / "model.safetensors", full_size(size))
    model = ModelRef(path=str(file), fingerprint=f"full {size}")
    sources = describe_model(model).sources.values()
    check_weights(model)
    assert sum(source.file is not None for source in sources) == parts


def test_one_tensor_less_or_of_another_shape_is_an_error_that_names_it(tmp_path):
    tensors = dict(full_size("sd1"))
    del tensors["model.diffusion_model.out.2.bias"]
    tensors["first_stage_model.decoder.conv_in.weight"] = [512, 16, 3, 3]
    file = write_header(tmp_path / "model.safetensors", tensors)
    model = ModelRef(path=str(file), fingerprint="one less")
    with pytest.raises(ModelError, match="conv_out.bias"):
        check_weights(model, "unet")
    with pytest.raises(ModelError, match="of another shape"):
        check_weights(model, "vae")


def test_a_transformer_alone_asks_for_its_parts(tmp_path):
    file = write_header(tmp_path / "flux.safetensors", only(full_size("flux-dev"), "model.diffusion_model."))
    model = ModelRef(path=str(file), fingerprint="alone")
    check_weights(model, "transformer")
    with pytest.raises(ModelError, match=r"flux.safetensors.*no text_encoder and no text_encoder_2 and no vae.*parts="):
        check_weights(model)


def test_a_file_without_its_parts_is_refused_before_anything_runs(studio, tiny, tmp_path):
    file = write_single_file(tmp_path / "z.safetensors", Path(tiny["z-image"].path), leave_out=("vae", "text_encoder"))
    with pytest.raises(GraphError, match=r"model_loader.model.*z.safetensors.*holds no"):
        picture(studio, model=str(file))


@pytest.mark.parametrize("name", ["z-image", "qwen-image", "chroma", "flux"])
def test_a_transformer_alone_draws_with_the_parts_of_a_model_beside_it(tiny, tmp_path, name):
    file = write_single_file(
        tmp_path / "a.safetensors", Path(tiny[name].path), leave_out=("vae", "text_encoder", "text_encoder_2")
    )
    with nb.Studio(settings=nb.Settings(device="cpu", cache_entries=0)) as studio:
        expected = picture(studio, model=tiny[name].path)
        found = picture(studio, model=str(file), parts=tiny[name].path)
        assert found.tobytes() == expected.tobytes()


def test_parts_of_another_family_are_refused(studio, tiny, files):
    with pytest.raises(GraphError, match=r"checkpoint \(stable-diffusion-xl base\).*family 'stable-diffusion'"):
        picture(studio, model=str(files["sdxl"]), parts=tiny["sd15"].path)


def test_sd3_without_t5_is_a_whole_model(tmp_path):
    tensors = without(full_size("sd3-medium"), "text_encoders.t5xxl.")
    model = ModelRef(path=str(write_header(tmp_path / "sd3.safetensors", tensors)), fingerprint="no t5")
    described = describe_model(model)
    described.check_complete()
    assert "text_encoder_3" not in described.classes


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"lora_unet_down_blocks_1_attn2_to_k.lora_down.weight": (4, 768)}, "give it to a LoraLoader"),
        ({"emb_params": (4, 768)}, "TextualInversion"),
        ({"a": (1,)}, "no model that is known here"),
        ({**full_size("sdxl"), "edm_mean": (4,)}, "configuration is not known"),
        ({**full_size("sd1"), "model.diffusion_model.input_blocks.0.0.weight": (320, 8, 3, 3)}, "instruct-pix2pix"),
        ({**full_size("flux-dev"), "model.diffusion_model.img_in.weight": (3072, 128)}, "control by depth"),
    ],
)
def test_a_file_that_draws_no_pictures_is_refused_with_what_it_is(tmp_path, tensors, words):
    file = write_header(tmp_path / "model.safetensors", tensors)
    with pytest.raises(ModelError, match=words):
        describe_model(ModelRef(path=str(file), fingerprint=words))


@pytest.mark.parametrize(
    ("size", "first", "shape"),
    [
        ("sd1", "input_blocks.0.0.weight", (320, 9, 3, 3)),
        ("sdxl", "input_blocks.0.0.weight", (320, 9, 3, 3)),
        ("flux-dev", "img_in.weight", (3072, 384)),
    ],
)
def test_full_size_checkpoints_for_inpainting_are_whole_models(tmp_path, size, first, shape):
    tensors = {**full_size(size), f"model.diffusion_model.{first}": shape}
    file = write_header(tmp_path / "model.safetensors", tensors)
    model = ModelRef(path=str(file), fingerprint=f"inpainting {size}")
    check_weights(model)
    assert describe_model(model).inpaints


@pytest.mark.parametrize(
    ("marks", "prediction", "zero_snr"),
    [((), "epsilon", False), (("v_pred",), "v_prediction", False), (("v_pred", "ztsnr"), "v_prediction", True)],
)
def test_the_prediction_a_file_names_reaches_its_scheduler(tmp_path, marks, prediction, zero_snr):
    tensors = {**full_size("sdxl"), **dict.fromkeys(marks, ())}
    model = ModelRef(path=str(write_header(tmp_path / "v.safetensors", tensors)), fingerprint=str(marks))
    config = describe_model(model).config("scheduler")
    assert config.get("prediction_type", "epsilon") == prediction
    assert bool(config.get("rescale_betas_zero_snr")) == zero_snr
    assert (config["timestep_spacing"] == "trailing") == zero_snr


def test_a_checkpoint_with_other_noise_levels_is_refused(tmp_path):
    tensors = {**full_size("sdxl"), "edm_vpred.sigma_max": (), "edm_vpred.sigma_min": ()}
    model = ModelRef(path=str(write_header(tmp_path / "cos.safetensors", tensors)), fingerprint="edm")
    with pytest.raises(ModelError, match="with EDM levels.*whose configuration is not known here"):
        describe_model(model)


@pytest.mark.parametrize(("apart", "prediction", "side"), [(0.2, "v_prediction", 768), (0.02, "epsilon", 512)])
def test_what_a_stable_diffusion_2_predicts_is_told_by_its_weights(tmp_path, apart, prediction, side):
    file = tmp_path / "sd2.safetensors"
    start = "model.diffusion_model."
    norm = torch.tensor([apart, -apart] * 4)
    save_file(
        {
            f"{start}input_blocks.0.0.weight": torch.zeros(8, 4, 3, 3),
            f"{start}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(8, 1024),
            f"{start}output_blocks.11.1.transformer_blocks.0.norm1.bias": norm,
            "cond_stage_model.model.ln_final.weight": torch.zeros(8),
        },
        file,
    )
    model = describe_model(ModelRef(path=str(file), fingerprint=str(apart)))
    assert model.config("scheduler")["prediction_type"] == prediction
    assert (model.width, model.height) == (side, side)


def test_every_shipped_configuration_makes_its_components(monkeypatch):
    for name in known_names():
        known = known_model(name)
        assert str(known.index["_class_name"]).endswith("Pipeline")
        for part, config in known.configs.items():
            if part.startswith("tokenizer"):
                assert config["vocabulary"] in ("clip", "t5")
    assert {name for _, name in known_models._NAMES.items()} == set(known_names())


def test_the_shipped_vocabularies_are_those_of_clip_and_t5():
    clip = make_tokenizer(known_model("sdxl").configs["tokenizer_2"])
    assert (len(clip), clip.pad_token_id) == (49408, 0)
    assert clip("a photograph of an astronaut").input_ids == [49406, 320, 8853, 539, 550, 18376, 49407]
    t5 = make_tokenizer(known_model("flux-dev").configs["tokenizer_2"])
    assert (len(t5), t5.model_max_length) == (32100, 512)
    assert t5("Ein grüner Apfel ﬁne").input_ids == [890, 3, 11059, 49, 71, 17433, 1399, 1]


def test_distilled_guidance_is_an_input_of_models_that_have_it(studio, tiny):
    def latents(name: str, guidance: float | None) -> Any:
        model = ModelLoader(model=tiny[name].path)
        node = DenoiseLatents(
            id="denoise", unet=model, noise=Noise(unet=model, seed=3, width=64, height=64), steps=2, guidance=guidance,
            cfg_scale=1, positive=Prompt(text="a red cat", clip=model),
        )  # fmt: skip
        return studio.run(LatentsToImage(id="image", vae=model, latents=node), progress=False)["image"].image.tobytes()

    assert latents("flux", 1.0) != latents("flux", 9.0)
    with pytest.raises(GraphError, match="denoise.guidance: .*'stable-diffusion' take no guidance"):
        latents("sd15", 2.0)
