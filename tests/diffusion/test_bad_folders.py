"""Folders that are no model, or no safe one, are refused with what is wrong and what to do."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from nbgraph.diffusion.description import check_weights, describe_model
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import ModelRef
from nbgraph.errors import ModelError, ModelNotFoundError
from tests.diffusion.models import TinyModels


@pytest.fixture
def folder(tiny: TinyModels, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny["sd15"].path, tmp_path / "model"))


def edit_index(folder: Path, **changes: Any) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | changes))


def load(folder: Path, *names: str) -> None:
    with ModelCache(device="cpu").use(ModelRef.from_path(str(folder)), *names):
        pass


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no such file or folder. Give the folder"):
        ModelRef.from_path(str(tmp_path / "nothing"))


def test_a_repository_that_is_not_in_the_hub_cache() -> None:
    with pytest.raises(ModelNotFoundError, match="hf download nobody/nothing"):
        ModelRef.from_path("nobody/nothing")


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(ModelNotFoundError, match="neither a model_index.json"):
        describe_model(tmp_path)


def test_a_file_of_sizes_that_its_kind_does_not_have(folder: Path) -> None:
    model = ModelRef.from_path(str(folder / "unet" / "diffusion_pytorch_model.safetensors"))
    with pytest.raises(ModelError, match="not those of the UNet2DConditionModel of its kind of model"):
        check_weights(model, "denoiser")


def test_an_unknown_pipeline_class_names_the_nearest(folder: Path) -> None:
    edit_index(folder, _class_name="StableDifusionPipeline")
    with pytest.raises(ModelError, match="did you mean 'StableDiffusionPipeline'"):
        describe_model(folder)


@pytest.mark.parametrize("row", [["os", "system"], ["nbgraph.errors", "ModelError"], [["diffusers"], "UNet"]])
def test_components_of_other_libraries(row: list[Any], folder: Path) -> None:
    edit_index(folder, unet=row)
    with pytest.raises(ModelError, match="Only diffusers and transformers are used"):
        describe_model(folder)


@pytest.mark.parametrize("row", [["transformers", "pipeline"], ["diffusers", "NoSuchModel"], ["diffusers", "logging"]])
def test_components_that_are_no_model_class(row: list[str], folder: Path) -> None:
    edit_index(folder, unet=row)
    with pytest.raises(ModelError, match="there is no such model class"):
        describe_model(folder)


def test_pickled_weights_are_never_loaded(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(ModelError, match="pickles, which can run any code"):
        load(folder, "unet")


def test_missing_weights(folder: Path) -> None:
    (folder / "text_encoder" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="there are no weights"):
        load(folder, "text_encoder")


def test_a_missing_component_folder(folder: Path) -> None:
    shutil.rmtree(folder / "unet")
    with pytest.raises(ModelError, match="incomplete: its model_index.json names unet"):
        describe_model(folder)


def test_truncated_weights(folder: Path) -> None:
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="The files are damaged"):
        load(folder, "vae")


def test_a_config_that_is_no_json(folder: Path) -> None:
    (folder / "model_index.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read as JSON"):
        describe_model(folder)


def test_a_component_that_is_not_there_names_those_that_are(tiny: TinyModels) -> None:
    with pytest.raises(ModelError, match="did you mean 'unet'"):
        load(Path(tiny["sd15"].path), "unett")


def test_a_variant_that_is_not_there(tiny: TinyModels, tmp_path: Path) -> None:
    tiny.pipeline("sd15").to(dtype=torch.float16).save_pretrained(tmp_path, variant="fp16")
    ref = ModelRef.from_path(str(tmp_path), variant="bf16")
    with (
        pytest.raises(ModelError, match="no weights of the variant 'bf16' .it has: fp16"),
        ModelCache(device="cpu").use(ref, "unet"),
    ):
        pass
