"""Picture files with hostile, damaged or ambiguous recipes are refused by name, and nothing of them is used."""

import base64
import json
import zlib
from io import BytesIO

import pytest
from PIL import Image as PillowImage
from PIL import PngImagePlugin

from nbgraph.errors import RecipeError
from nbgraph.recipes.carriers import NAMESPACE
from nbgraph.recipes.chunks import read_texts, texts_brought
from nbgraph.recipes.recipe import recipe_from_json
from tests.recipes.conftest import saved

GRAPH = {"nbgraph": "0.1.0", "format": 1, "graph": {"nodes": {}, "edges": []}}


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of one pixel with these chunks before its pixels."""
    data = saved(PillowImage.new("RGB", (1, 1)))
    made = b"".join(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big") for kind, body in chunks
    )
    return data[:33] + made + data[33:]


def test_a_text_of_200_megabytes_in_a_small_chunk_is_refused():
    packed = zlib.compress(bytes(200 * 2**20), 1)
    with pytest.raises(RecipeError, match="'nbgraph' expands to more than 16,777,216 bytes"):
        read_texts(png((b"zTXt", b"nbgraph\0\0" + packed)), "bomb.png")


def test_a_compressed_text_of_unicode_is_bounded_too():
    packed = zlib.compress(bytes(17 * 2**20), 1)
    with pytest.raises(RecipeError, match="expands to more than"):
        read_texts(png((b"iTXt", b"nbgraph\0\1\0\0\0" + packed)), "bomb.png")


def test_an_xmp_packet_that_expands_without_end_is_refused():
    packed = base64.b64encode(zlib.compress(bytes(17 * 2**20), 1)).decode()
    packet = f'<x:xmpmeta xmlns:nbgraph="{NAMESPACE}" nbgraph:recipe="{packed}"/>'
    with pytest.raises(RecipeError, match="expands to more than"):
        read_texts(png((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet.encode())), "bomb.png")


def test_markup_in_an_xmp_packet_is_never_parsed():
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>' + NAMESPACE
    assert read_texts(png((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + bomb.encode())), "x.png").texts == {}


def test_two_different_recipes_in_one_picture_are_refused():
    other = json.dumps({**GRAPH, "node": "b"})
    two = png(*[(b"tEXt", b"nbgraph\0" + text.encode()) for text in (json.dumps(GRAPH), other)])
    with pytest.raises(RecipeError, match="two different texts named 'nbgraph'"):
        read_texts(two, "two.png")


def test_the_same_recipe_twice_is_one():
    text = json.dumps(GRAPH).encode()
    assert read_texts(png(*[(b"tEXt", b"nbgraph\0" + text)] * 2), "x.png").texts == {"nbgraph": text.decode()}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_png_is_named(drawn, share):
    data = saved(drawn["image"].image)
    with pytest.raises(RecipeError, match="half.png is truncated"):
        read_texts(data[: int(len(data) * share)], "half.png")


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_file_cut_off_in_its_head_is_named(drawn, format):
    with pytest.raises(RecipeError, match="is truncated or damaged"):
        read_texts(saved(drawn["image"].image, format)[:20], "half")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested"),
        ('{"graph":' + '{"a":' * 300 + "1" + "}" * 301, "nested"),
        ("{", "no JSON"),
        ("[]", "an object with nbgraph, format and graph"),
        ('{"nbgraph": "9", "format": 99, "graph": {}}', "in format 99, and this one reads up to 1; upgrade nbgraph"),
        ('{"nbgraph": 7, "graph": {}}', "nbgraph: Input should be a valid string"),
        ('{"nbgraph": "0", "graph": {}, "path": ["x"]}', "path.0"),
        ('{"nbgraph": "0", "graph": []}', "an object with"),
    ],
)
def test_a_text_that_is_no_recipe_is_named(text, said):
    with pytest.raises(RecipeError, match=said):
        recipe_from_json(text, "the text")


def test_a_type_that_is_no_node_is_an_error_and_nothing_is_imported():
    text = json.dumps(
        {**GRAPH, "graph": {"nodes": {"a": {"id": "a", "type": "__import__", "name": "os"}}, "edges": []}}
    )
    with pytest.raises(ValueError, match="no node of type '__import__'"):
        recipe_from_json(text, "the text").to_graph()


def test_texts_of_other_names_and_long_ones_are_not_kept():
    info = PngImagePlugin.PngInfo()
    info.add_text("GPS", "48.1, 11.5")
    info.add_itxt("parameters", "x" * (2**20 + 1))
    picture = PillowImage.open(BytesIO(saved(PillowImage.new("RGB", (1, 1)), pnginfo=info)))
    assert texts_brought(picture) == {}


def test_a_picture_with_a_bomb_brings_nothing(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png((b"zTXt", b"nbgraph\0\0" + zlib.compress(bytes(17 * 2**20), 1))))
    assert texts_brought(tmp_path / "bomb.png") == {}
