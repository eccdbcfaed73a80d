"""Recipes of other programs that are damaged or hostile are read, or refused by name; nothing else is ever raised."""

import json
from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import PngImagePlugin

import nbgraph as nb
from nbgraph.errors import NbgraphError, RecipeError
from nbgraph.recipes.chunks import read_texts
from nbgraph.recipes.reading import read_recipe
from nbgraph.recipes.shelf import Shelf
from tests.recipes.conftest import saved
from tests.recipes.test_comfy_import import editor_form, workflow
from tests.recipes.test_settings_import import A1111, INVOKE

WORKFLOWS = [path.stem for path in sorted((Path(__file__).parent / "workflows").glob("*.json"))]
FOOOCUS = {"prompt": "a", "base_model": "m", "seed": "5", "steps": 30, "resolution": "(8, 8)", "guidance_scale": 4.0}
METADATA = {"positive_prompt": "a", "seed": 3, "steps": 12, "width": 64, "model": {"name": "m"}, "loras": [{}]}
SHELF = Shelf((("sd15", ""), ("sdxl", "")))
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 2**70, 1e308, float("inf"), "", "__import__", "../../etc/passwd", [], ["1", 0], [0], {}, {"a": 1}]
)


def places(values: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in JSON values."""
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [path, *(found for key, item in inner for found in places(item, (*path, key)))]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A recipe of another program with odd values in some places."""
    kind = draw(st.sampled_from(("comfy", "editor", "invoke", "fooocus", "metadata")))
    whole: Any = {"invoke": INVOKE, "fooocus": FOOOCUS, "metadata": METADATA}.get(kind)
    if whole is None:
        whole = workflow(draw(st.sampled_from(WORKFLOWS)))
        whole = editor_form(whole) if kind == "editor" else whole
    whole = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(whole)[1:] or [()]))
        target = whole
        for key in path[:-1]:
            target = target[key]
        if path:
            target[path[-1]] = deepcopy(draw(ODD))  # one list in two places could come to hold itself
    return json.dumps(whole)


def read_or_refused(read: Callable[[], Any]) -> tuple[Any, str]:
    """What was read, or why it was refused; any other error is a fault."""
    try:
        return read(), ""
    except NbgraphError as error:
        return None, str(error) or "no reason"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged())
def test_a_damaged_recipe_is_read_or_refused_by_name(text):
    opened, why = read_or_refused(lambda: read_recipe(text.replace("Infinity", "1e999"), SHELF))
    assert why or all(node.type != "__import__" for node in opened.graph.nodes.values())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(A1111)), st.text(max_size=6))
def test_a_damaged_text_is_read_or_refused_by_name(place, text):
    given_text = A1111[:place] + text + A1111[place + len(text) :]
    opened, why = read_or_refused(lambda: read_recipe(given_text + "\n", SHELF))
    assert why or opened.graph


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_by_name(data):
    whole = PICTURES[data.draw(st.sampled_from(sorted(PICTURES)))]
    place, end = data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, len(whole)))
    damaged_file = whole[:place] + data.draw(st.binary(max_size=8)) + whole[max(place, end) :]
    _, why = read_or_refused(lambda: read_texts(damaged_file, "x"))
    assert not why or why.startswith("x")


def picture(format: str) -> bytes:
    info, exif = PngImagePlugin.PngInfo(), PillowImage.Exif()
    info.add_itxt("parameters", A1111, zip=True)
    info.add_text("prompt", "{}")
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + A1111.encode("utf-16-be")
    options = {"pnginfo": info} if format == "PNG" else {"exif": exif}
    return saved(PillowImage.new("RGB", (8, 8)), format, **options)


PICTURES = {format: picture(format) for format in ("PNG", "JPEG", "WEBP")}


def test_a_chain_of_nodes_without_end_is_refused():
    chain = {
        str(number): {"class_type": "ModelSamplingSD3", "inputs": {"model": [str(number + 1), 0], "shift": 1}}
        for number in range(5000)
    }
    with pytest.raises(RecipeError, match="too many nodes in a row"):
        read_recipe(json.dumps(chain), SHELF)


@pytest.mark.parametrize(
    "text",
    [
        '{"uc": "", "steps": 1e999, "seed": 1}',
        json.dumps({**FOOOCUS, "steps": 1e308}).replace("1e+308", "1e999"),
        json.dumps({**METADATA, "seed": 1}).replace('"seed": 1', '"seed": 1e999'),
    ],
)
def test_numbers_without_end_are_refused(text):
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment" if '"uc"' in text else "parameters", text)
    with pytest.raises(RecipeError, match="cannot be read|no whole number"):
        read_recipe(saved(PillowImage.new("RGB", (2, 2)), pnginfo=info), SHELF)


def test_opening_reads_and_writes_no_file_that_a_recipe_names(tmp_path, monkeypatch, studio):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    data = {
        "1": {"class_type": "LoadImage", "inputs": {"image": str(secret)}},
        "2": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": f"../..{secret}"}},
        "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": f"../..{tmp_path}/x", "images": ["1", 0]}},
    }
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr("builtins.open", refuse)
    opened = read_recipe(json.dumps(data), SHELF)
    monkeypatch.undo()
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(NbgraphError, match=r"picture.path: .*secret.txt' is not an image"):
        studio.run(opened.graph, progress=False)
    assert (studio.images.count, studio.queue.frame.empty) == (0, True)


def refuse(*arguments: object, **named: object) -> None:
    raise AssertionError(f"opened {arguments[0]}")


def test_a_recipe_of_our_own_that_names_models_that_are_gone_runs_nothing(studio):
    graph = {"nodes": {"m": {"id": "m", "type": "model_loader", "model": "../gone"}}, "edges": []}
    text = json.dumps({"nbgraph": "0", "format": 1, "graph": graph, "node": "m"})
    with pytest.raises(NbgraphError, match="m.model: no model '../gone'"):
        studio.run(nb.open(text).graph, progress=False)
    assert studio.queue.frame.empty


def test_markup_in_texts_is_escaped_where_it_is_shown():
    data = {"1": {"class_type": "<img src=x onerror=alert(1)>", "inputs": {}}}
    shown = read_recipe(json.dumps(data), SHELF)._repr_html_()
    assert "<img" not in shown
    assert "&lt;img" in shown


def test_a_picture_with_a_text_for_each_byte_is_refused():
    info = PngImagePlugin.PngInfo()
    for number in range(100):
        info.add_text(f"t{number}", "x")
    data = saved(PillowImage.new("RGB", (2, 2)), pnginfo=info)
    with pytest.raises(RecipeError, match="more than 64 texts"):
        read_texts(data, "many.png")
    assert PillowImage.open(BytesIO(data)).size == (2, 2)
