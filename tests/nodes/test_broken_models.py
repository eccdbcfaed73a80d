"""A model that gives no finite numbers fails at the node that made them: nothing is kept, and previews fail no run."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import nbgraph as nb
from nbgraph.errors import NodeError
from nbgraph.invocations import DenoiseLatents, Iterate, LatentsToImage, ModelLoader, Noise, Prompt
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import LatentsField
from nbgraph.invocations.outputs import LatentsOutput
from nbgraph.services.events.events_common import Event, NodeProgress
from tests.tiny_models import build_sd15

BROKEN = {"unet": "conv_out.bias", "vae": "decoder.conv_out.bias"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a tiny model of which one component gives NaN."""
    made = tmp_path_factory.mktemp("broken")
    build_sd15(made / "whole")

    def build(component: str) -> str:
        copied = made / component
        if not copied.exists():
            shutil.copytree(made / "whole", copied)
            file = copied / component / "diffusion_pytorch_model.safetensors"
            weights = load_file(file)
            save_file(weights | {BROKEN[component]: torch.full_like(weights[BROKEN[component]], torch.nan)}, file)
        return str(copied)

    return build


@pytest.fixture
def studio() -> Iterator[nb.Studio]:
    with nb.Studio(settings=nb.Settings(dtype="float32")) as made:
        yield made


def drawing(model: str, seeds: list[int]) -> LatentsToImage:
    loader = ModelLoader(model=model)
    noise = Noise(unet=loader, seed=Iterate(id="seed", collection=seeds))
    text = Prompt(text="a cat", clip=loader)
    denoise = DenoiseLatents(
        id="denoise", unet=loader, positive=text, negative=text, noise=noise, steps=2, cfg_scale=4.0
    )
    return LatentsToImage(id="image", latents=denoise, vae=loader)


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3]])
def test_a_unet_of_no_numbers_fails_at_denoise_and_nothing_is_kept(studio, folder, seeds):
    run = studio.run(drawing(folder("unet"), seeds), progress=False, on_error="continue")
    assert [error.node for error in run.errors] == [f"denoise[{number}]" for number in range(len(seeds))]
    assert all("step 1 of 2: the unet of" in error.message and "(NaN)" in error.message for error in run.errors)
    assert not studio.services.invocation_cache.entries("denoise[0]")
    assert len(studio.images) == 0


def test_a_vae_of_no_numbers_fails_at_decoding_and_not_in_the_previews(studio, folder):
    previews: list[Any] = []

    def listen(event: Event) -> None:
        if isinstance(event, NodeProgress):
            previews.append(event.preview())

    studio.services.events.subscribe(listen)
    with pytest.raises(NodeError, match=r"node 'image\[0\]'.*decoding by the VAE of .*\(NaN\), in float32") as raised:
        studio.run(drawing(folder("vae"), [1]), progress=False)
    assert raised.value.node == "image[0]"
    assert [preview.size for preview in previews] == [(64, 64)] * 2
    assert studio.services.invocation_cache.entries("denoise[0]")
    assert len(studio.images) == 0


def test_a_preview_that_cannot_be_coloured_fails_no_run(studio, folder, monkeypatch, caplog):
    """The weights of the VAE are gone, which the previews need before the picture does."""
    shutil.rmtree(Path(folder("unet")).parent / "novae", ignore_errors=True)
    copied = Path(shutil.copytree(Path(folder("unet")).parent / "whole", Path(folder("unet")).parent / "novae"))
    (copied / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    studio.services.events.subscribe(lambda event: None)
    denoise = drawing(str(copied), [1]).latents.node
    assert studio.run(denoise, progress=False).outputs("denoise")[0].width == 64
    assert "have no colours" in caplog.text


@invocation("test_gives_no_numbers", category="test")
class GivesNoNumbers(BaseInvocation):
    """Keeps latents of NaN."""

    def invoke(self, context: InvocationContext) -> LatentsOutput:
        tensors = {"latents": torch.full((1, 4, 8, 8), torch.nan), "solver.sigmas": torch.full((2,), torch.inf)}
        name = context.tensors.save(SimpleNamespace(to_tensors=lambda: (tensors, {})))
        return LatentsOutput(latents=LatentsField(latents_name=name), width=64, height=64)


def test_a_node_of_ones_own_cannot_keep_latents_of_no_numbers(studio):
    with pytest.raises(NodeError, match="the latents that this node made hold values that are not finite numbers"):
        studio.run(GivesNoNumbers(), progress=False)
    assert studio.services.latents.list().total == 0
