"""LoRAs and embeddings by the names they have in a studio, as models are named."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import nbgraph as nb
from nbgraph.errors import GraphError
from nbgraph.invocations import LoraLoader, ModelLoader, Prompt, TextualInversion, VaeLoader


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    (tmp_path / "loras" / "styles").mkdir(parents=True)
    layer = {f"lora_unet_conv_in.{side}.weight": torch.ones(1, 1) for side in ("lora_down", "lora_up")}
    save_file(layer, tmp_path / "loras" / "styles" / "ink.safetensors")
    save_file({"emb_params": torch.ones(2, 32)}, tmp_path / "bad-hands.safetensors")
    return tmp_path


@pytest.mark.parametrize("name", ["loras/styles/ink.safetensors", "ink.safetensors", "ink"])
def test_a_lora_is_found_by_its_name(shelf, tiny, name):
    model = ModelLoader(model=tiny["sd15"].path)
    lora = LoraLoader(id="lora", lora=name, unet=model, clip=model)
    with nb.Studio(settings=nb.Settings(device="cpu", model_folders=[shelf])) as studio:
        (patch,) = studio.run(lora, progress=False)[lora].unet.model.patches
        assert patch.path == str(shelf / "loras" / "styles" / "ink.safetensors")


def test_an_embedding_is_found_by_its_name_which_is_its_token(shelf, tiny):
    node = TextualInversion(id="hands", embedding="bad-hands", clip=ModelLoader(model=tiny["sd15"].path))
    with nb.Studio(settings=nb.Settings(device="cpu", model_folders=[shelf])) as studio:
        (patch,) = studio.run(node, progress=False)[node].clip.model.patches
        assert (patch.token, Path(patch.path).name) == ("bad-hands", "bad-hands.safetensors")


def test_a_name_that_is_not_on_the_shelf_says_where_names_are(shelf, tiny):
    model = ModelLoader(model=tiny["sd15"].path)
    with nb.Studio(settings=nb.Settings(device="cpu", model_folders=[shelf])) as studio:
        for node in (
            LoraLoader(lora="ikn", unet=model, clip=model),
            TextualInversion(embedding="ikn", clip=model),
        ):
            with pytest.raises(GraphError, match=r"there is no file 'ikn'.*or its name in studio.models"):
                studio.run(Prompt(text="a", clip=node), progress=False)
        with pytest.raises(GraphError, match="vae_model"):
            studio.run(VaeLoader(vae_model="ink"), progress=False)
