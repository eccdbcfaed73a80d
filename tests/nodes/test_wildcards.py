"""Wildcards: lists from folders of text, YAML and JSON, nested and weighted, by a seed or all of them once."""

import json
from collections import Counter
from pathlib import Path

import pytest

import nbgraph as nb
from nbgraph.errors import GraphError, NodeError
from nbgraph.invocations import DynamicPrompt, Wildcards
from nbgraph.invocations.wildcards import read_folder

FILES = {
    "color.txt": "red\ngreen\n\n# a comment\nred\n",
    "animals/dog.txt": "poodle\nbeagle",
    "animals/cat.txt": "{fat|thin} __color__ cat",
    "more.yaml": "size:\n  large: [huge, vast]\n  small: tiny\nrare: ['1::often', '9::seldom', '0::never']\n",
    "scene.json": json.dumps(["a __animals/*__", {"text": "nothing", "weight": 0.5}]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def prompts(studio: nb.Studio, folder: Path):
    def made(template: str, combinatorial: bool = True, many: int = 1000, seed: int = 3) -> list[str]:
        node = DynamicPrompt(
            id="p", prompt=template, wildcards=Wildcards(id="w", folder=folder), max_prompts=many,
            combinatorial=combinatorial, seed=seed,
        )  # fmt: skip
        return studio.run(node, progress=False)["p"].collection

    return made


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a __color__ sky", ["a red sky", "a green sky"]),
        ("__animals/dog__", ["poodle", "beagle"]),
        ("__animals/cat__", ["fat red cat", "fat green cat", "thin red cat", "thin green cat"]),
        ("__animals/d*__", ["poodle", "beagle"]),
        ("__size/large__ __size/small__", ["huge tiny", "vast tiny"]),
        ("__rare__", ["often", "seldom"]),
        ("{__color__|red}", ["red", "green"]),
        ("plain", ["plain"]),
    ],
)
def test_combinations_are_all_there_once_and_in_order(prompts, template, expected):
    assert prompts(template) == expected


def test_nested_wildcards_over_several_lists_give_each_prompt_once(prompts):
    found = prompts("__scene__, __color__")
    assert len(found) == len(set(found)) == (2 + 4 + 1) * 2
    assert "a thin green cat, red" in found


def test_random_prompts_follow_the_seed_and_the_weights(prompts):
    first = prompts("__rare__", combinatorial=False, many=400)
    assert first == prompts("__rare__", combinatorial=False, many=400)
    assert first != prompts("__rare__", combinatorial=False, many=400, seed=4)
    counts = Counter(first)
    assert set(counts) == {"often", "seldom"}
    assert 0.84 < counts["seldom"] / 400 < 0.96


@pytest.mark.parametrize("combinatorial", [True, False])
@pytest.mark.parametrize("template", ["__colr__", "a {__colr__|__color__}", "{2$$__colr__}"])
def test_a_wildcard_that_is_not_there_is_an_error_that_names_it(prompts, template, combinatorial):
    with pytest.raises(NodeError, match="no wildcard '__colr__'; did you mean 'color'?"):
        prompts(template, combinatorial, many=20)


def test_weights_where_several_are_taken_at_once_are_refused(prompts):
    assert set(prompts("{2$$__color__}")) == {"red,green", "green,red"}
    with pytest.raises(NodeError, match="weights of a wildcard are not read where several"):
        prompts("{2$$__rare__}", combinatorial=False)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "__gone__", "wildcard __a__ needs __gone__, which is not there"),
        ("a.txt", "x __color__ __a__", "in a circle: __a__ -> __a__"),
        ("color.txt", "__scene__", "in a circle: __animals/cat__ -> __color__ -> __scene__ -> __animals/cat__"),
        ("a.yaml", "x: [1, [2]]", "is no text"),
        ("a.yaml", "x: [", "is no YAML"),
        ("a.yaml", "!!python/object/apply:os.system ['true']", "is no YAML"),
        ("a.json", "{", "cannot be read"),
        ("a.json", '{"a":' * 40 + "1" + "}" * 40, "nested more than 20 deep"),
        ("a.txt", b"\xff\xfe", "is not UTF-8"),
        ("a.txt", b"a" * (4 * 2**20 + 1), "more than 4,194,304 bytes"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(folder, prompts, name, content, said):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NodeError, match=said):
        prompts("__size/small__")


def test_aliases_that_multiply_are_bounded(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} {{{', '.join(f'k{m}: *a{n - 1}' for m in range(8))}}}" for n in range(1, 9)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(nb.NbgraphError, match="more than 200,000 texts"):
        read_folder(tmp_path)


def test_the_lists_are_part_of_the_key(studio, folder):
    node = DynamicPrompt(
        id="p", prompt="__color__", wildcards=Wildcards(folder=folder), max_prompts=9, combinatorial=True, seed=1
    )
    runs = [studio.run(node, progress=False) for _ in range(2)]
    (folder / "color.txt").write_text("blue")
    runs.append(studio.run(node, progress=False))
    cached = [bool(run.stats.set_index("node").cached["p"]) for run in runs]
    assert cached == [False, True, False]
    assert runs[2]["p"].collection == ["blue"]


def test_a_folder_that_is_not_there_or_empty_is_an_error(studio, tmp_path):
    with pytest.raises(GraphError, match="folder: there is no folder"):
        studio.run(Wildcards(folder=tmp_path / "gone"), progress=False)
    with pytest.raises(NodeError, match="has no wildcards"):
        studio.run(Wildcards(folder=tmp_path), progress=False)
