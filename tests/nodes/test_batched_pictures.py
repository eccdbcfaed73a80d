"""Pictures drawn together are those drawn one by one, to one level of 255 at most, whatever steers them."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.errors import NbgraphWarning, NodeError
from nbgraph.invocations import (
    BlankImage,
    ControlNet,
    CreateDenoiseMask,
    DenoiseLatents,
    Image,
    ImageToLatents,
    IpAdapter,
    Iterate,
    LatentsToImage,
    ModelLoader,
    Noise,
    Prompt,
    ResizeImage,
    T2iAdapter,
)
from nbgraph.invocations.fields import ImageField
from nbgraph.services.events.events_common import Event, NodeProgress
from tests.tiny_models import (
    build_controlnet,
    build_image_encoder,
    build_ip_adapter,
    build_sd15,
    build_t2i_adapter,
    build_z_image,
)

SEEDS = range(8)


@pytest.fixture
def studio() -> Iterator[nb.Studio]:
    with nb.Studio() as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion 1.5 with all that can steer it."""
    made = tmp_path_factory.mktemp("steered")
    build_sd15(made / "sd15")
    build_controlnet(made / "control", made / "sd15")
    build_t2i_adapter(made / "t2i", xl=True)
    build_image_encoder(made / "image_encoder")
    build_ip_adapter(made / "ip.safetensors", made / "sd15")
    return made


def drawing(model: Any, seed: Any, text: Any = "a red apple", **inputs: Any) -> LatentsToImage:
    """The picture of a seed."""
    given = {"steps": 4, "cfg_scale": 4.0, **inputs}
    noise = Noise(id="noise", unet=model, seed=seed)
    positive = Prompt(id="prompt", text=text, clip=model)
    negative = Prompt(text="", clip=model)
    denoise = DenoiseLatents(id="denoise", unet=model, positive=positive, negative=negative, noise=noise, **given)
    return LatentsToImage(id="image", latents=denoise, vae=model)


def emoji(**inputs: Any) -> LatentsToImage:
    """Eight seeds of the shipped model."""
    seeds = Iterate(id="seed", collection=list(SEEDS))
    return drawing(ModelLoader(model="emoji"), seeds, **inputs)


def pixels(run: nb.Run) -> list[np.ndarray]:
    return [np.asarray(picture).astype(int) for picture in run.images]


def batch_of(run: nb.Run, node: str) -> list[int]:
    rows = run.stats
    return list(rows.batch[rows.source == node])


def check_both_ways(studio: nb.Studio, node: LatentsToImage, count: int) -> nb.Run:
    """The same pictures, together and one by one; the run that drew them together."""
    together = studio.run(node, progress=False)
    with studio.cache.off():
        apart = studio.run(node, progress=False, strict=True)
    assert batch_of(together, "denoise") == batch_of(together, "image") == [count] * count
    assert set(batch_of(apart, "denoise") + batch_of(apart, "image")) == {1}
    for one, other in zip(pixels(together), pixels(apart), strict=True):
        assert np.abs(one - other).max() <= 1
    return together


def test_eight_seeds_of_the_shipped_model(studio):
    run = check_both_ways(studio, emoji(), 8)
    assert len({picture.tobytes() for picture in run.images}) == 8


@pytest.mark.parametrize("scheduler", ["euler_a", "dpmpp_sde"])
def test_each_picture_keeps_its_own_noise_where_steps_draw_more(studio, steered, scheduler):
    check_both_ways(studio, steered(scheduler=scheduler), 3)


def test_prompts_are_encoded_together(studio):
    texts = Iterate(id="text", collection=["a red apple", "a cat", "a blue heart", "the sun"])
    run = check_both_ways(studio, drawing(ModelLoader(model="emoji"), 7, texts), 4)
    assert batch_of(run, "prompt") == [4] * 4


def test_what_was_drawn_together_is_found_one_by_one_and_the_other_way_round(studio, steered):
    for first in (False, True):
        studio.cache.clear()
        studio.run(steered(), progress=False, strict=first)
        again = studio.run(steered(), progress=False, strict=not first).stats
        assert again.cached[again.type != "iterate"].all()


def test_a_seed_that_was_drawn_before_is_not_drawn_again(studio):
    studio.run(drawing(ModelLoader(model="emoji"), Iterate(collection=[2, 5])), progress=False)
    run = studio.run(emoji(), progress=False)
    rows = run.stats[run.stats.source == "denoise"]
    assert list(rows[rows.cached].node) == ["denoise[2]", "denoise[5]"]
    assert set(rows.batch[~rows.cached]) == {6}


def test_pictures_are_saved_in_the_name_of_their_own_node(studio):
    run = studio.run(emoji(), progress=False)
    records = [studio.services.images.record(result.image_name) for result in run.outputs("image")]
    assert [record.node_id for record in records] == [f"image[{n}]" for n in SEEDS]


def test_pictures_of_several_nodes_come_in_the_order_of_one_by_one(studio, steered):
    last = ResizeImage(id="small", image=steered(), width=8, height=8)
    together = studio.run(last, progress=False)
    apart = studio.run(last, progress=False, strict=True)
    sizes = [picture.width for picture in together.images]
    assert sizes == [picture.width for picture in apart.images] == [64, 8, 64, 8, 64, 8]
    assert [one.tobytes() for one in together.images] == [other.tobytes() for other in apart.images]


def test_progress_is_told_step_by_step(studio):
    told: list[NodeProgress] = []

    def listen(event: Event) -> None:
        if isinstance(event, NodeProgress):
            told.append(event)

    studio.services.events.subscribe(listen)
    studio.run(emoji(), progress=False)
    assert [(event.node, event.step, event.total) for event in told] == [("denoise[0]", n, 4) for n in (1, 2, 3, 4)]


def test_a_cancel_between_steps_of_a_batch_is_heard_and_the_run_goes_on_later(studio):
    def cancel(event: Event) -> None:
        if isinstance(event, NodeProgress) and event.step == 2:
            studio.services.processor.cancel(event.session_id)

    end = studio.services.events.subscribe(cancel)
    run = studio.submit(emoji()).wait()
    assert run.status == "cancelled"
    assert not run.images
    end()
    assert len(studio.resume(run.id).wait().images) == 8


# what steers a batch


@pytest.fixture
def steered(folder: Path, studio: nb.Studio) -> Callable[..., LatentsToImage]:
    """Three small pictures of the tiny model, steered."""
    model = ModelLoader(model=str(folder / "sd15"))
    return lambda **inputs: drawing(model, Iterate(id="seed", collection=[1, 2, 3]), **inputs)


@pytest.fixture
def gradient(studio: nb.Studio) -> Image:
    picture = PillowImage.linear_gradient("L").resize((64, 64))
    return Image(id="gradient", image=ImageField(image_name=studio.services.images.save(picture).image_name))


def test_controlnets_steer_every_picture(studio, folder, steered, gradient):
    control = ControlNet(image=gradient, control_model=str(folder / "control"))
    check_both_ways(studio, steered(control=control), 3)


def test_adapters_steer_every_picture(studio, folder, steered, gradient):
    shape = T2iAdapter(image=gradient, t2i_adapter_model=str(folder / "t2i"))
    look = IpAdapter(image=gradient, ip_adapter_model=folder / "ip.safetensors")
    check_both_ways(studio, steered(t2i_adapter=shape, ip_adapter=look), 3)


def test_a_mask_and_latents_are_kept_in_every_picture(studio, folder, steered, gradient):
    kept = ImageToLatents(
        image=BlankImage(width=64, height=64, color="orange"), vae=ModelLoader(model=str(folder / "sd15"))
    )
    mask = CreateDenoiseMask(mask=gradient)
    check_both_ways(studio, steered(latents=kept, denoising_start=0.5, denoise_mask=mask), 3)


def test_steps_split_over_two_nodes_run_together_in_both(studio, folder):
    model = ModelLoader(model=str(folder / "sd15"))
    half = drawing(model, Iterate(id="seed", collection=[1, 2, 3]), denoising_end=0.5)
    text = {"positive": Prompt(id="cat", text="a cat", clip=model), "negative": Prompt(id="none", clip=model)}
    before = half.latents.node
    rest = DenoiseLatents(id="rest", unet=model, latents=before, steps=4, cfg_scale=4.0, denoising_start=0.5, **text)
    node = LatentsToImage(id="image", latents=rest, vae=model)
    run = check_both_ways(studio, node, 3)
    assert batch_of(run, "rest") == [3, 3, 3]


def test_pictures_of_other_sizes_or_settings_are_drawn_apart(studio, folder):
    model = ModelLoader(model=str(folder / "sd15"))
    side = Iterate(id="side", collection=[32, 64, 32, 64])
    node = drawing(model, 7)
    node.latents.node.noise = Noise(id="noise", unet=model, seed=7, width=side, height=32)
    run = studio.run(node, progress=False)
    assert [result.image.width for result in run.outputs("image")] == [32, 64, 32, 64]
    rows = run.stats[run.stats.source == "denoise"]
    assert list(rows.sort_values("path").cached) == [False, False, True, True]
    scales = Iterate(id="scale", collection=[2.0, 3.0])
    assert batch_of(studio.run(drawing(model, 7, cfg_scale=scales), progress=False), "denoise") == [1, 1]


def test_pictures_are_encoded_together_as_alone(studio, folder):
    model = ModelLoader(model=str(folder / "sd15"))
    colour = Iterate(id="colour", collection=["red", "green", "blue"])
    node = ImageToLatents(id="encode", image=BlankImage(width=64, height=64, color=colour), vae=model)
    together = studio.run(node, progress=False)
    assert batch_of(together, "encode") == [3, 3, 3]
    with studio.cache.off():
        apart = studio.run(node, progress=False, strict=True)
    for one, other in zip(together.outputs("encode"), apart.outputs("encode"), strict=True):
        assert (one.latents.tensor() - other.latents.tensor()).abs().max() < 1e-5


def test_texts_of_a_model_whose_texts_differ_in_length_are_encoded_apart(studio, tmp_path):
    build_z_image(tmp_path / "z")
    texts = Iterate(id="text", collection=["a", "a much longer text"])
    node = Prompt(id="prompt", text=texts, clip=ModelLoader(model=str(tmp_path / "z")))
    assert batch_of(studio.run(node, progress=False), "prompt") == [1, 1]


# memory


def test_running_out_of_memory_names_who_holds_what_and_the_next_run_works(studio, monkeypatch):
    studio.run(drawing(ModelLoader(model="emoji"), 1), progress=False)
    model = studio.services.model_manager
    unet = next(one for one in model.loaded() if one.component == "unet")
    real, size = torch.nn.functional.silu, 2**60

    def run_out(*arguments: Any, **options: Any) -> torch.Tensor:
        return torch.empty(size, dtype=torch.uint8)

    monkeypatch.setattr(torch.nn.functional, "silu", run_out)
    with pytest.raises(NodeError) as raised:
        studio.run(emoji(), progress=False)
    text = str(raised.value)
    for part in (
        "node 'denoise[0]'",
        "out of memory in Denoise",
        "asked for 1,099,511,627,776.0 MB more",
        f"emoji unet {unet.bytes / 2**20:.1f} MB on cpu",
        "studio.unload_models()",
    ):
        assert part in text
    monkeypatch.setattr(torch.nn.functional, "silu", real)
    assert not any(one.in_use for one in model.loaded())
    assert len(studio.run(emoji(steps=1), progress=False).images) == 8


def test_after_running_out_of_memory_nothing_of_the_picture_is_kept(studio, steered, monkeypatch):
    """Frames of a failed call would hold its tensors until the next error."""
    node = steered()
    studio.run(Noise(unet=node.vae.node, seed=1), progress=False)
    marked: list[int] = []

    def run_out(tensor: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        marked.append(tensor.numel())
        work = torch.full((54321,), 7.0)
        raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate 20.00 MiB, {len(work)}")

    monkeypatch.setattr(torch.nn.functional, "silu", run_out)
    with (
        studio.cache.off(),
        pytest.warns(NbgraphWarning, match="ran out of memory; the node runs again with unet in the mode 'streaming'"),
        pytest.raises(NodeError, match=r"asked for 20.00 MiB more"),
    ):
        studio.run(node, progress=False)
    assert marked
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, torch.Tensor) and one.shape == (54321,)]
