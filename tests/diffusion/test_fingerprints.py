"""Fingerprints: every change of a model's bytes is seen, however it was made, and a mere copy is none."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import nbgraph as nb
from nbgraph.diffusion import fingerprints
from nbgraph.diffusion.description import describe_model
from nbgraph.diffusion.fingerprints import fingerprint_path
from nbgraph.diffusion.load import load_component
from nbgraph.diffusion.model_cache import ModelCache
from nbgraph.diffusion.refs import LoraPatch, ModelRef
from nbgraph.errors import ModelError
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt
from tests.diffusion.drawing import pixels
from tests.diffusion.models import TinyModels
from tests.tiny_models import build_lora

UNET = Path("unet", "diffusion_pytorch_model.safetensors")


@pytest.fixture
def folder(tiny: TinyModels, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny["sd15"].path, tmp_path / "model"))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where hashes are kept, of files that count as large from 1 MiB on and as settled at once."""
    monkeypatch.setattr(fingerprints, "_SETTLED_NS", -(10**18))
    monkeypatch.setattr(fingerprints, "_LARGE_BYTES", 2**20)
    monkeypatch.setattr(fingerprints, "_known", {})
    monkeypatch.setattr(fingerprints, "user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "nbgraph" / "fingerprints"


def flipped(file: Path, position: int = -1) -> bytes:
    """The content of a file with one byte changed."""
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    return bytes(content)


def large_file(file: Path, changed: int | None = None, size: int = 65 * 2**20) -> Path:
    with open(file, "wb") as stream:
        stream.truncate(size)
        if changed is not None:
            stream.seek(changed)
            stream.write(b"x")
    return file


def replace(file: Path, content: bytes) -> None:
    other = file.with_name("other")
    other.write_bytes(content)
    other.replace(file)


def write_in_place(file: Path, content: bytes) -> None:
    with open(file, "r+b") as stream:
        stream.write(content)


@pytest.mark.parametrize("change", [replace, write_in_place])
def test_equal_size_and_time_do_not_hide_a_change(
    change: Callable[[Path, bytes], None], folder: Path, kept: Path
) -> None:
    file, before = folder / UNET, fingerprint_path(folder)
    state = file.stat()
    while file.with_name("clock").write_text("") or file.with_name("clock").stat().st_ctime_ns == state.st_ctime_ns:
        pass
    change(file, flipped(file))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert fingerprint_path(folder) != before


def test_changes_that_follow_at_once_are_all_seen(tmp_path: Path) -> None:
    file = tmp_path / "lora.safetensors"
    file.write_bytes(b"0")
    state, found = file.stat(), set()
    for number in range(100):
        write_in_place(file, bytes([number]))
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
        found.add(fingerprint_path(file))
    assert len(found) == 100


@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae", "tokenizer", "scheduler"])
def test_a_linked_component_counts_as_what_it_leads_to(part: str, folder: Path, tmp_path: Path) -> None:
    linked = Path(shutil.copytree(folder, tmp_path / "linked"))
    shutil.move(linked / part, tmp_path / "elsewhere")
    (linked / part).symlink_to(tmp_path / "elsewhere")
    assert fingerprint_path(linked) == fingerprint_path(folder)
    file = next(iter(sorted((tmp_path / "elsewhere").glob("*.json"))))
    file.write_text(file.read_text() + " ")
    assert fingerprint_path(linked) != fingerprint_path(folder)


def test_a_snapshot_of_links_counts_as_the_blobs_they_lead_to(folder: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    blobs.mkdir()
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        link = snapshot / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        blob = blobs / str(len(list(blobs.iterdir())))
        shutil.copy(file, blob)
        link.symlink_to(os.path.relpath(blob, link.parent))
    assert fingerprint_path(snapshot) == fingerprint_path(folder)
    blob = (snapshot / UNET).resolve()
    blob.write_bytes(flipped(blob))
    assert fingerprint_path(snapshot) != fingerprint_path(folder)


def test_links_that_lead_back_and_links_to_nothing_are_passed_by(folder: Path) -> None:
    before = fingerprint_path(folder)
    (folder / "unet" / "again").symlink_to(folder)
    (folder / "gone.json").symlink_to(folder / "nothing")
    assert fingerprint_path(folder) == before


@pytest.mark.parametrize(
    "name", ["model_index.json", "unet/config.json", "tokenizer/tokenizer.json", "scheduler/scheduler_config.json"]
)
def test_configurations_tokenizers_and_schedulers_count(name: str, folder: Path) -> None:
    before = fingerprint_path(folder)
    (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()), indent=7))
    assert fingerprint_path(folder) != before


def test_a_renamed_component_and_a_further_shard_count(folder: Path) -> None:
    found = {fingerprint_path(folder)}
    shutil.copy(folder / UNET, folder / "unet" / "diffusion_pytorch_model-00002-of-00002.safetensors")
    found.add(fingerprint_path(folder))
    (folder / "unet").rename(folder / "unet_2")
    found.add(fingerprint_path(folder))
    assert len(found) == 3


def test_hard_links_and_touched_files_are_the_same_model(folder: Path, tmp_path: Path) -> None:
    before = fingerprint_path(folder)
    os.link(folder / UNET, tmp_path / "second.safetensors")
    (folder / UNET).touch()
    assert fingerprint_path(folder) == before
    assert fingerprint_path(folder / UNET) == fingerprint_path(tmp_path / "second.safetensors")


def test_every_byte_of_a_large_file_counts(tmp_path: Path) -> None:
    files = [large_file(tmp_path / f"{at}.safetensors", at) for at in (None, 33 * 2**20, 65 * 2**20 - 1)]
    assert len({fingerprint_path(file) for file in files}) == len(files)


def test_the_hash_of_a_large_file_is_kept_for_the_next_kernel(tmp_path: Path, kept: Path) -> None:
    file = large_file(tmp_path / "model.safetensors", size=2**20)
    found = fingerprint_path(file)
    (hashed,) = kept.iterdir()
    digest = hashed.read_text()
    fingerprints._known.clear()
    assert fingerprint_path(file) == found
    for planted, is_used in (("0" * 64, True), ("no hash", False), ("00", False)):
        fingerprints._known.clear()
        hashed.write_text(planted)
        assert (fingerprint_path(file) != found) == is_used
    assert hashed.read_text() == digest


def test_a_cache_folder_that_cannot_be_written_to_only_costs_time(tmp_path: Path, kept: Path) -> None:
    kept.parent.parent.write_text("a file where the folder should be")
    file = large_file(tmp_path / "model.safetensors", size=2**20)
    found = fingerprint_path(file)
    fingerprints._known.clear()
    assert fingerprint_path(file) == found


def test_a_model_in_memory_is_not_used_for_a_changed_one(folder: Path) -> None:
    cache, file = ModelCache(device="cpu"), folder / UNET
    first = ModelRef.from_path(str(folder))
    with cache.use(first, "unet") as components:
        before = components["unet"]
    replace(file, flipped(file))
    with cache.use(ModelRef.from_path(str(folder)), "unet") as components:
        assert components["unet"] is not before
    with cache.use(first, "unet") as components:
        assert components["unet"] is before


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_files_that_are_written_to_later_change_no_model_that_is_loaded(part: str, folder: Path) -> None:
    """Loaders map files: what is written in place would be seen in weights that were loaded before."""
    (file,) = (folder / part).glob("*.safetensors")
    loaded = load_component(describe_model(folder), part, torch.float32)
    before = {name: tensor.clone() for name, tensor in loaded.state_dict().items()}
    header = 8 + int.from_bytes(file.read_bytes()[:8], "little")
    with open(file, "r+b") as stream:
        stream.seek(header)
        stream.write(bytes(file.stat().st_size - header))
    assert not any(tensor.any() for tensor in load_file(file).values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in loaded.state_dict().items())


def test_a_model_that_changes_between_a_look_at_it_and_its_use_is_refused(folder: Path) -> None:
    cache, ref = ModelCache(device="cpu"), ModelRef.from_path(str(folder))
    replace(folder / UNET, flipped(folder / UNET))
    for name in ("unet", "vae"):
        with pytest.raises(ModelError, match="were changed after this run had looked at them"), cache.use(ref, name):
            pass
    assert cache.loaded() == []


def test_a_lora_that_changes_between_a_look_at_it_and_its_use_is_refused(tiny: TinyModels, tmp_path: Path) -> None:
    file = build_lora(tmp_path / "lora.safetensors", Path(tiny["sd15"].path))
    ref = tiny["sd15"].with_patch(LoraPatch.from_file(str(file)))
    replace(file, flipped(file))
    with (
        pytest.raises(ModelError, match="were changed after this run"),
        ModelCache(device="cpu").use(ref, "unet"),
    ):
        pass


def test_a_description_is_of_the_configuration_that_is_there(folder: Path) -> None:
    file = folder / "unet" / "config.json"
    before, state = describe_model(folder).width, file.stat()
    size = json.loads(file.read_bytes())["sample_size"]
    replace(file, file.read_bytes().replace(f'"sample_size": {size}'.encode(), f'"sample_size": {size + 1}'.encode()))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert describe_model(folder).width == before // size * (size + 1)


def test_a_studio_draws_anew_with_weights_that_were_replaced_and_says_why(folder: Path) -> None:
    def picture(model: Path) -> LatentsToImage:
        loaded = ModelLoader(model=str(model), id="model")
        text = Prompt(text="a cat", clip=loaded)
        noise = Noise(unet=loaded, seed=1, width=64, height=64)
        latents = DenoiseLatents(unet=loaded, noise=noise, positive=text, negative=text, steps=1, id="denoise")
        return LatentsToImage(latents=latents, vae=loaded, id="image")

    with nb.Studio(settings=nb.Settings(device="cpu")) as studio:
        first = studio.run(picture(folder), progress=False).images[0]
        reasons = studio.explain(picture(folder)).set_index("node").because
        assert reasons["model"].startswith("cached; the model's files are unchanged (inode, size and times")

        linked = Path(shutil.copytree(folder, folder.with_name("linked")))
        shutil.move(linked / "unet", linked.with_name("trained"))
        (linked / "unet").symlink_to(linked.with_name("trained"))
        weights = {name: value.flip(0) for name, value in load_file(folder / UNET).items()}
        save_file(weights, linked / UNET, metadata={"format": "pt"})
        other = studio.run(picture(linked), progress=False)
        assert not other.stats.set_index("node").cached["denoise"]
        assert (pixels(other.images[0]) != pixels(first)).any()

        file = folder / UNET
        state = file.stat()
        save_file(weights, file, metadata={"format": "pt"})
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert file.stat().st_size == state.st_size
        reasons = studio.explain(picture(folder)).set_index("node")
        assert reasons.because["model"] == f"the files of {str(folder)!r} have changed (whole content compared)"
        run = studio.run(picture(folder), progress=False)
    assert not run.stats.set_index("node").cached["model"]
    assert run.stats.set_index("node").cached["denoise"], "the linked folder had the same content"
    assert (pixels(run.images[0]) == pixels(other.images[0])).all()
