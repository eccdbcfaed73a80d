"""Paths that no filesystem has room for are refused in a line that can be read, wherever a path is given."""

import pytest

import nbgraph as nb
from nbgraph.invocations import IpAdapter, LoadImage, LoraLoader, ModelLoader, Noise, PromptsFromFile

LONG = "x" * 5000


def nodes():
    model = ModelLoader(model="emoji")
    return {
        "picture": LoadImage(path=LONG),
        "prompts": PromptsFromFile(file_path=LONG),
        "model": Noise(unet=ModelLoader(model=LONG)),
        "model file": Noise(unet=ModelLoader(model="/" + LONG)),
        "hub id": Noise(unet=ModelLoader(model=LONG + "/" + LONG)),
        "lora": LoraLoader(unet=model, clip=model, lora=LONG),
        "adapter": IpAdapter(ip_adapter_model=LONG, image={"image_name": "0" * 32}),
    }


@pytest.mark.parametrize("name", nodes())
def test_an_input_of_a_node_is_refused_before_anything_runs(studio, name):
    with pytest.raises(nb.GraphError) as caught:
        studio.submit(nodes()[name])
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "use",
    [
        lambda studio, _: nb.Studio(LONG),
        lambda studio, _: studio.edit(LONG),
        lambda studio, _: studio.import_runs(LONG),
        lambda studio, tmp_path: studio.export(tmp_path / LONG),
        lambda studio, tmp_path: nb.Studio(tmp_path / "a").backup(tmp_path / LONG),
    ],
)
def test_an_argument_of_a_studio_is_refused(studio, tmp_path, use):
    with pytest.raises(nb.NbgraphError) as caught:
        use(studio, tmp_path)
    assert len(str(caught.value)) < 1000


def test_a_folder_of_models_that_cannot_be_has_no_models():
    with nb.Studio(settings=nb.Settings(model_folders=[LONG])) as studio:
        assert "emoji" in studio.models.frame.name.tolist()


def test_each_problem_of_a_size_names_its_own_side(studio):
    with pytest.raises(nb.GraphError) as caught:
        studio.run(Noise(id="noise", unet=ModelLoader(model="emoji"), width=70, height=62), progress=False)
    width, height = [problem.message for problem in caught.value.problems if problem.node == "noise"]
    assert width.startswith("width is 70, but this model draws in multiples of 8 pixels; the nearest is 72")
    assert height.startswith("height is 62, but this model draws in multiples of 8 pixels; the nearest is 64")
