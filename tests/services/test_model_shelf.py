"""The shelf: models in folders at any depth, single files and the hub cache, by names and with what they are."""

import json
from pathlib import Path

import pytest

from nbgraph import Settings, Studio
from nbgraph.diffusion import header_index
from nbgraph.diffusion.header_index import facts_of_files
from nbgraph.diffusion.what_is import FileFacts
from nbgraph.errors import ModelNotFoundError
from nbgraph.services.model_manager.model_manager_base import hub_models, models_in_folder
from tests.tiny_models.headers import full_size, write_header


def folder_model(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    write_header(place / "inside.safetensors", {"a": (1,)})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "models"
    folder_model(place / "plain")
    folder_model(place / "diffusers" / "nested")
    for name in ("checkpoints", "Stable-diffusion", "loras/styles", ".hidden"):
        (place / name).mkdir(parents=True)
    write_header(place / "checkpoints" / "xl.safetensors", full_size("sdxl"))
    write_header(place / "Stable-diffusion" / "same.safetensors", {"emb_params": (1, 768)})
    write_header(place / "loras" / "styles" / "ink.safetensors", {"x_attn2_to_k.lora_down.weight": (4, 768)})
    write_header(place / "loras" / "same.safetensors", {"emb_params": (1, 768)})
    write_header(place / ".hidden" / "no.safetensors", {"a": (1,)})
    (place / "checkpoints" / "old.ckpt").write_bytes(b"\x80\x02}q\x00.")
    (place / "checkpoints" / "notes.txt").write_text("none")
    (place / "loop").symlink_to(place)
    return place


NAMES = [
    "Stable-diffusion/same.safetensors", "checkpoints/old.ckpt", "checkpoints/xl.safetensors", "diffusers/nested",
    "loras/same.safetensors", "loras/styles/ink.safetensors", "plain",
]  # fmt: skip


def test_folders_and_files_are_found_at_any_depth(place):
    assert [name for name, _ in models_in_folder(place)] == NAMES
    assert list(models_in_folder(place / "none")) == []


def test_the_table_says_what_each_file_is(place, tmp_path, monkeypatch):
    monkeypatch.setattr(header_index, "user_cache_path", lambda _: tmp_path / "cache")
    with Studio(settings=Settings(model_folders=[place])) as studio:
        table = studio.models.frame.set_index("name")
        assert table.loc["checkpoints/xl.safetensors", ["kind", "family", "variant"]].tolist() == [
            "checkpoint", "stable-diffusion-xl", "base",
        ]  # fmt: skip
        assert table.loc["checkpoints/old.ckpt", "kind"] == "pickle"
        assert table.loc["plain", "kind"] == "folder"
        assert studio.models.search("LORA", "ink").name.tolist() == ["loras/styles/ink.safetensors"]


def test_a_file_is_named_by_its_path_on_the_shelf_its_name_or_its_stem_if_there_is_one(place):
    with Studio(settings=Settings(model_folders=[place])) as studio:
        manager = studio.services.model_manager
        for name in ("loras/styles/ink.safetensors", "ink.safetensors", "ink"):
            assert manager.resolve(name).path == str(place / "loras" / "styles" / "ink.safetensors")
        with pytest.raises(ModelNotFoundError, match="no model 'same'"):
            manager.resolve("same")


def test_the_hub_cache_is_on_the_shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder_model(tmp_path / "models--someone--small" / "snapshots" / "abc")
    (tmp_path / "models--someone--weightless" / "snapshots" / "abc").mkdir(parents=True)
    snapshot = tmp_path / "models--someone--small" / "snapshots" / "abc"
    assert list(hub_models()) == [("someone/small", snapshot)]


def test_a_second_look_reads_no_header_and_a_changed_file_is_read_again(tmp_path, monkeypatch):
    file, index = tmp_path / "a.safetensors", tmp_path / "index.json"
    write_header(file, {"emb_params": (1, 768)})
    first = facts_of_files([str(file), str(tmp_path / "gone")], index)
    looked: list[str] = []
    real = header_index.what_is
    monkeypatch.setattr(header_index, "what_is", lambda path: looked.append(path) or real(path))
    assert facts_of_files([str(file)], index) == first
    assert looked == []
    write_header(file, full_size("sd1"))
    assert facts_of_files([str(file)], index)[str(file)].kind == "checkpoint"
    assert looked == [str(file)]


@pytest.mark.parametrize("damage", ["", "[]", '{"version": 1, "files": 3}', '{"version": 0, "files": {}}'])
def test_a_damaged_index_is_made_anew(tmp_path, damage):
    file, index = tmp_path / "a.safetensors", tmp_path / "index.json"
    write_header(file, {"emb_params": (1, 768)})
    index.write_text(damage)
    assert isinstance(facts_of_files([str(file)], index)[str(file)], FileFacts)
    assert json.loads(index.read_text())["files"]
