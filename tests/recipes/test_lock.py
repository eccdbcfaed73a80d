"""A lock says what a notebook ran with, and a replay names what is another than in it."""

import json

import pytest
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.errors import NbgraphError, NotFoundError, RecipeError
from nbgraph.invocations import Add, BlankImage, Iterate, ModelLoader, Prompt, Range
from nbgraph.invocations.function import node
from nbgraph.recipes.lock import lock_of, read_lock, write_lock
from tests.recipes.conftest import saved


@pytest.fixture
def lock(drawn, tmp_path):
    """The lock of the run of the shipped model, as its file."""
    return drawn_lock(drawn, tmp_path / "notebook.lock.json")


def drawn_lock(drawn: nb.Run, path):
    write_lock(lock_of([drawn.id], drawn.services), path)
    return path


def changed(lock, **fields: object) -> str:
    """The file with some fields another."""
    lock.write_text(json.dumps({**json.loads(lock.read_text()), **fields}))
    return str(lock)


def changed_graph(drawn: nb.Run, address: str, value: object) -> str:
    """The picture's recipe as JSON, with one value another."""
    recipe = nb.open(saved(drawn["image"].image)).recipe
    graph = json.loads(json.dumps(recipe.graph))
    node_id, _, name = address.partition(".")
    graph["nodes"][node_id][name] = value
    return recipe.model_copy(update={"graph": graph}).to_json()


def named(replayed) -> list[tuple[str, str]]:
    return [(each.kind, each.name) for each in replayed.differences]


def test_a_picture_of_the_run_that_was_locked_does_not_differ(drawn, studio, lock):
    replayed = studio.replay(saved(drawn["image"].image), lock=lock)
    assert replayed.is_equal
    assert replayed.differences == []


def test_it_is_small_and_says_what_ran(drawn, lock):
    content = read_lock(lock)
    assert [fact.name for fact in content.models] == ["emoji"]
    assert set(content.code) == {"model_loader", "prompt", "noise", "denoise_latents", "l2i"}
    assert content.runs[0].values["denoise.steps"] == 2
    assert content.runs[0].seeds == {"noise.seed": [drawn["noise"].seed]}
    assert {"torch", "diffusers"} <= set(content.packages)
    assert lock.stat().st_size < 4000


def test_a_planted_seed_and_planted_steps_are_named(drawn, studio, lock):
    seed = drawn["noise"].seed
    other = studio.replay(changed_graph(drawn, "noise.seed", seed + 1), lock=lock)
    assert named(other) == [("seed", "noise.seed")]
    assert str(other.differences[0]) == f"seed noise.seed: {seed} -> {seed + 1}"
    assert named(studio.replay(changed_graph(drawn, "denoise.steps", 3), lock=lock)) == [("setting", "denoise.steps")]
    assert named(studio.replay(changed_graph(drawn, "positive.text", "a pear"), lock=lock)) == [
        ("setting", "positive.text")
    ]


def test_planted_versions_are_named(drawn, studio, lock):
    data = saved(drawn["image"].image)
    assert named(studio.replay(data, lock=changed(lock, nbgraph="0.0.1"))) == [("package", "nbgraph")]
    path = changed(lock, nbgraph=nb.__version__, packages={"torch": "1.0"}, python="2.7.1")
    assert named(studio.replay(data, lock=path)) == [("package", "python"), ("package", "torch")]


def test_a_planted_model_is_named(drawn, studio, lock):
    facts = [{"name": "emoji", "fingerprint": "0" * 32, "kind": "model"}]
    replayed = studio.replay(saved(drawn["image"].image), lock=changed(lock, models=facts))
    assert named(replayed) == [("model", "emoji")]
    assert replayed.is_equal


def test_planted_code_is_named(studio, tmp_path):
    def made(strength: int) -> nb.BaseInvocation:
        @node(type="tint_of_locks")
        def tint(size: int = 8) -> nb.Image:
            return PillowImage.new("RGB", (size, size), (strength, 0, 0))

        return tint(id="tint")

    studio.run(made(1), progress=False)
    studio.lock(tmp_path / "lock.json")
    again = studio.run(made(2), progress=False)
    replayed = studio.replay(saved(again["tint"].image), lock=tmp_path / "lock.json")
    assert named(replayed) == [("code", "tint_of_locks")]


def test_a_studio_locks_the_runs_it_started(studio, tmp_path):
    for number in range(2):
        studio.run(Add(id="sum", a=number, b=1), progress=False)
    written = studio.lock(tmp_path / "lock.json")
    assert repr(written) == f"Lock(2 runs, 0 models, 1 node types -> {tmp_path / 'lock.json'})"
    assert [run.values["sum.a"] for run in read_lock(tmp_path / "lock.json").runs] == [0, 1]
    assert (tmp_path / "lock.json").read_text() == studio.lock().to_json()
    assert len(studio.lock(runs=studio.run(Add(a=1, b=1), progress=False)).content.runs) == 1


def test_an_item_of_an_iteration_is_the_run_of_all_of_them(studio, tmp_path):
    blank = BlankImage(id="blank", width=Iterate(collection=Range(start=3, stop=6)), height=8)
    run = studio.run(blank, progress=False)
    lock = studio.lock(tmp_path / "lock.json")
    assert studio.replay(saved(run.images[1]), lock=lock).differences == []


def test_a_picture_of_nothing_that_was_locked_is_named(drawn, studio, tmp_path):
    studio.run(Add(id="sum", a=1, b=1), progress=False)
    replayed = studio.replay(saved(drawn["image"].image), lock=studio.lock())
    assert ("run", "image") in named(replayed)


def test_prompts_are_hashes_where_a_setting_leaves_them_out():
    with nb.Studio(settings=nb.Settings(recipes="without prompts", device="cpu")) as studio:
        studio.run(Prompt(id="p", text="a blue heart", clip=ModelLoader(model="emoji")), progress=False)
        text = studio.lock().to_json()
    assert "heart" not in text
    assert "blake2:" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[]", "is no lock"),
        ('{"nbgraph": "9", "format": 99}', "format 99"),
        ('{"format": 1}', "nbgraph"),
    ],
)
def test_a_file_that_is_no_lock_is_named_and_nothing_runs(drawn, studio, tmp_path, text, said):
    (tmp_path / "lock.json").write_text(text)
    with pytest.raises(RecipeError, match=said):
        studio.replay(saved(drawn["image"].image), lock=tmp_path / "lock.json")
    assert studio.images.count == 0


def test_a_lock_that_is_not_there_or_cannot_be_written_is_named(drawn, studio, tmp_path):
    with pytest.raises(NotFoundError, match="there is no lock"):
        studio.replay(saved(drawn["image"].image), lock=tmp_path / "gone.json")
    with pytest.raises(NbgraphError, match="cannot be written"):
        studio.lock(tmp_path / "gone" / "lock.json")
