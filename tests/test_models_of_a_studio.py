"""Models as a studio shows them: what can be named, what is in memory, and how to let go of it."""

import pytest
from pictures import apple

from nbgraph.errors import ModelNotFoundError


def test_the_shipped_model_can_be_named(studio):
    assert "emoji" in set(studio.models.name)


def test_what_a_run_loaded_is_shown_and_can_be_unloaded(studio):
    assert studio.loaded_models.empty
    studio.run(apple(), progress=False)
    loaded = studio.loaded_models
    assert {"unet", "vae", "text_encoder"} <= set(loaded.component)
    assert loaded.mb.sum() > 10
    assert studio.unload_models("emoji") > 10 * 2**20
    assert studio.loaded_models.empty
    assert list(studio.loaded_models.columns) == list(loaded.columns)


def test_a_model_of_the_local_hub_cache_is_found_by_its_id(studio, tmp_path, monkeypatch):
    repository = tmp_path / "models--someone--small"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert studio.services.model_manager.resolve("someone/small").path == str(snapshot)


def test_a_hub_id_that_is_not_in_the_cache_says_how_to_get_it(studio):
    with pytest.raises(ModelNotFoundError, match="nobody/nothing"):
        studio.services.model_manager.resolve("nobody/nothing")
