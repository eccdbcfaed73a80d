"""CLIP score, aesthetic score and LPIPS, with tiny random models in folders, beside what others compute."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

import nbgraph as nb
from nbgraph.errors import GraphError
from nbgraph.invocations import AestheticScore, BlankImage, ClipScore, Lpips, MetricModel
from tests.tiny_models.parts import clip_tokenizer

WIDTH = 16


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = clip_tokenizer(folder)
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    config = CLIPConfig(
        text_config={**small, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": 77},
        vision_config={**small, "image_size": 32, "patch_size": 8},
        projection_dim=WIDTH,
    )
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def lpips_file(tmp_path_factory) -> Path:
    torch.manual_seed(1)
    weights: dict[str, torch.Tensor] = {}
    sizes = [(3, 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3)]
    names = ["slice1.0", "slice2.3", "slice3.6", "slice4.8", "slice5.10"]
    for number, (name, (before, after, side)) in enumerate(zip(names, sizes)):
        weights[f"net.{name}.weight"] = torch.randn(after, before, side, side) / (before * side * side) ** 0.5
        weights[f"net.{name}.bias"] = torch.randn(after) / 10
        weights[f"lin{number}.model.1.weight"] = torch.rand(1, after, 1, 1)
    file = tmp_path_factory.mktemp("lpips") / "alex.safetensors"
    save_file(weights, file)
    return file


def image(seed: int, size: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8))


@nb.node
def random_picture(seed: int, size: int = 48) -> nb.Image:
    return image(seed, size)


def measure(studio, metric):
    return studio.run(metric, progress=False)[metric].value


def test_a_clip_score_is_what_transformers_computes(studio, clip_folder):
    node = ClipScore(image=random_picture(seed=1), text="a red cat", model=MetricModel(model=str(clip_folder)))
    model = CLIPModel.from_pretrained(clip_folder, local_files_only=True).eval()
    tokens = clip_tokenizer(clip_folder)(["a red cat"], return_tensors="pt")
    pixels = CLIPImageProcessor.from_pretrained(clip_folder)(images=image(1), return_tensors="pt")
    with torch.inference_mode():
        logits = model(**tokens, **pixels).logits_per_image / model.logit_scale.exp()
    assert measure(studio, node) == pytest.approx(100 * float(logits), abs=1e-4)


def test_an_aesthetic_score_is_the_predictor_over_the_embedding(studio, clip_folder, tmp_path):
    layers = nn.Sequential(nn.Linear(WIDTH, 8), nn.Dropout(), nn.Linear(8, 4), nn.Linear(4, 1)).eval()
    file = tmp_path / "predictor.safetensors"
    save_file({f"layers.{name}": tensor for name, tensor in layers.state_dict().items()}, file)
    clip = MetricModel(id="clip", model=str(clip_folder))
    node = AestheticScore(image=random_picture(seed=1), model=clip, predictor=MetricModel(id="head", model=str(file)))
    model = CLIPModel.from_pretrained(clip_folder, local_files_only=True).eval()
    pixels = CLIPImageProcessor.from_pretrained(clip_folder)(images=image(1), return_tensors="pt")
    with torch.inference_mode():
        embedding = model.visual_projection(model.vision_model(**pixels).pooler_output)
        expected = float(layers(embedding / embedding.norm()))
    assert measure(studio, node) == pytest.approx(expected, abs=1e-4)


def test_lpips_is_what_modules_of_torch_compute_and_nothing_between_equal_images(studio, lpips_file):
    weights = MetricModel(id="weights", model=str(lpips_file))
    pair = random_picture(id="one", seed=1), random_picture(id="other", seed=2)
    assert measure(studio, Lpips(image=pair[0], reference=pair[0], model=weights)) == 0
    assert measure(studio, Lpips(image=pair[0], reference=pair[1], model=weights)) == pytest.approx(
        by_modules(lpips_file, image(1), image(2)), rel=1e-4
    )


def by_modules(file: Path, *pictures: Image.Image) -> float:
    from safetensors.torch import load_file

    tensors = load_file(file)
    slices = [
        nn.Sequential(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU()),
        nn.Sequential(nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU()),
        nn.Sequential(nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU()),
    ]
    features = []
    for name, part in zip(["slice1.0", "slice2.3", "slice3.6", "slice4.8", "slice5.10"], slices):
        layer = next(each for each in part if isinstance(each, nn.Conv2d))
        layer.load_state_dict({kind: tensors[f"net.{name}.{kind}"] for kind in ("weight", "bias")})
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    for picture in pictures:
        values = torch.from_numpy(((np.asarray(picture) / 127.5 - 1 - shift) / scale).transpose(2, 0, 1)[None]).float()
        found = []
        with torch.inference_mode():
            for part in slices:
                values = part(values)
                found.append(values / values.norm(dim=1, keepdim=True).clamp_min(1e-10))
        features.append(found)
    apart = [
        ((one - other) ** 2 * tensors[f"lin{number}.model.1.weight"]).sum(1).mean()
        for number, (one, other) in enumerate(zip(*features))
    ]
    return float(sum(apart))


def test_a_score_of_a_model_is_a_column_of_a_sweep(studio, clip_folder):
    score = ClipScore(id="fits", text="a red cat", model=MetricModel(id="clip", model=str(clip_folder)))
    grid = studio.sweep(random_picture(id="picture", seed=0), {"picture.seed": [1, 2]}, metrics=[score], progress=False)
    assert list(grid.frame.status) == ["completed"] * 2
    assert grid.frame.fits.nunique() == 2


def test_a_score_is_computed_again_when_the_files_of_its_model_change(studio, clip_folder, lpips_file, tmp_path):
    file = tmp_path / "copy.safetensors"
    file.write_bytes(lpips_file.read_bytes())
    pair = random_picture(id="one", seed=1), random_picture(id="other", seed=2)
    node = Lpips(image=pair[0], reference=pair[1], model=MetricModel(model=str(file)))
    before = measure(studio, node)
    assert measure(studio, node) == before
    from safetensors.torch import load_file

    save_file({name: tensor * (2 if "lin0" in name else 1) for name, tensor in load_file(lpips_file).items()}, file)
    assert measure(studio, node) > before


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda folder, file: ClipScore(text="a", model=MetricModel(model=str(file))), "not read as a CLIP model"),
        (lambda folder, file: Lpips(reference=random_picture(seed=2), model=MetricModel(model=str(folder))), "LPIPS"),
        (
            lambda folder, file: AestheticScore(
                model=MetricModel(id="a", model=str(folder)), predictor=MetricModel(id="b", model=str(file))
            ),
            "trained on another CLIP model, or is no aesthetic predictor",
        ),
    ],
)
def test_a_metric_with_another_model_says_so_in_its_cell_and_leaves_the_image(
    studio, clip_folder, lpips_file, metric, message
):
    grid = studio.sweep(
        random_picture(id="picture", seed=0),
        {"picture.seed": [1, 2]},
        metrics=[metric(clip_folder, lpips_file), "contrast"],
        progress=False,
    )
    assert all(message in error for error in grid.frame.error)
    assert grid.frame.contrast.notna().all()
    assert None not in grid.images


def test_a_model_that_is_not_there_is_refused_before_anything_runs(studio, tmp_path):
    node = ClipScore(image=BlankImage(width=8, height=8), text="a", model=MetricModel(model=str(tmp_path / "none")))
    with pytest.raises(GraphError, match="none"):
        studio.run(node, progress=False)
    assert studio.queue.frame.empty
