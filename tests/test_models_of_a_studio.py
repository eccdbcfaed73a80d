"""Models as a studio shows them: what can be named, what is in memory, and how to let go of it."""

import pytest
from pictures import apple

from nbgraph import Settings, Studio
from nbgraph.errors import ModelNotFoundError
from nbgraph.invocations import ModelLoader, Noise
from nbgraph.services.model_manager import model_manager_default
from tests.tiny_models.headers import write_header


def test_the_shipped_model_can_be_named(studio):
    assert "emoji" in set(studio.models.frame.name)


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


def noise() -> Noise:
    return Noise(id="noise", unet=ModelLoader(id="model", model="emoji"), seed=1)


def test_another_precision_or_device_is_another_result_and_explain_says_which(tmp_path):
    with Studio(tmp_path) as studio:
        studio.run(noise(), progress=False)
    for settings, will_run, because in (
        (Settings(dtype="float32"), False, "cached"),
        (Settings(device="cpu"), False, "cached"),
        (Settings(dtype="bfloat16"), True, "noise.unet.model.dtype float32 -> bfloat16"),
        (Settings(device="cuda:1", dtype="float32"), True, "noise.unet.model.device cpu -> cuda"),
        (Settings(device="mps"), True, "noise.unet.model.device cpu -> mps, noise.unet.model.dtype float32 -> float16"),
    ):
        with Studio(tmp_path, settings) as studio:
            row = studio.explain(noise()).set_index("node").loc["noise"]
            assert (bool(row.will_run), row.because.partition(" 1 times")[0]) == (will_run, because)


def test_another_precision_runs_again(tmp_path):
    for settings, cached in ((Settings(), False), (Settings(dtype="bfloat16"), False), (Settings(), True)):
        with Studio(tmp_path, settings) as studio:
            run = studio.run(noise(), progress=False)
            assert bool(run.stats.set_index("node").cached["noise"]) == cached


def test_another_version_of_what_computes_with_models_is_another_result(tmp_path, monkeypatch):
    with Studio(tmp_path) as studio:
        studio.run(noise(), progress=False)
        whole = model_manager_default.version_of
        patched = lambda name: "99.0" if name == "diffusers" else whole(name)  # noqa: E731
        monkeypatch.setattr(model_manager_default, "version_of", patched)
        assert "noise.unet.model.libraries diffusers" in studio.explain(noise()).set_index("node").because["noise"]


def test_a_model_file_is_inspected_by_its_header(studio, tmp_path):
    file = write_header(tmp_path / "cats.safetensors", {"emb_params": (2, 768)})
    assert studio.models.inspect(file).kind == "embedding"
    assert "emoji" in studio.models._repr_html_()
