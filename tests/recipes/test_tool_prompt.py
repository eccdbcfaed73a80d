"""Weights in prompts are read as ComfyUI and A1111 read them."""

import pytest

from nbgraph.diffusion.tool_prompt import filled_by_commas, filled_by_groups, weighted_pieces


def read(text: str, tool: str) -> list[list[tuple[str, float]]]:
    return [[(word, round(weight, 4)) for word, weight in chunk if word] for chunk in weighted_pieces(text, tool)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a cat", [("a cat", 1.0)]),
        ("a (red) cat", [("a ", 1.0), ("red", 1.1), (" cat", 1.0)]),
        ("a (red:1.3) cat", [("a ", 1.0), ("red", 1.3), (" cat", 1.0)]),
        ("((red))", [("red", 1.21)]),
        ("(a (b:1.5) c:0.8)", [("a ", 0.8), ("b", 1.5), (" c", 0.8)]),
        (r"\(red\)", [("(red)", 1.0)]),
        ("[red]", [("[red]", 1.0)]),
        ("a) (red:1.3)", [("a) (red:1.3)", 1.0)]),
        ("(red:1.3", [("(red:1.3", 1.0)]),
        ("(:1.3)", [(":1.3", 1.1)]),
    ],
)
def test_comfyui(text, pieces):
    assert read(text, "comfy") == [pieces]


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("a (red) cat", [[("a ", 1.0), ("red", 1.1), (" cat", 1.0)]]),
        ("a (red:1.3)", [[("a ", 1.0), ("red", 1.3)]]),
        ("[red]", [[("red", 0.9091)]]),
        ("(a (b:1.5):0.8)", [[("a ", 0.8), ("b", 1.2)]]),
        (r"\(red\)", [[("(red)", 1.0)]]),
        ("(open", [[("open", 1.1)]]),
        ("a BREAK b", [[("a ", 1.0)], [(" b", 1.0)]]),
        ("(a BREAK b)", [[("a ", 1.1), ("BREAK", -1.1), (" b", 1.1)]]),
        (r"a\\b\c", [[(r"a\bc", 1.0)]]),
        ("a) b]", [[("a) b]", 1.0)]]),
    ],
)
def test_a1111(text, chunks):
    assert read(text, "a1111") == chunks


def numbered(count: int, *commas: int) -> list[list[tuple[int, float]]]:
    return [[(0 if place in commas else place + 1, 1.0)] for place in range(count)]


def test_a_long_text_of_comfyui_is_cut_where_a_chunk_ends_and_a_short_one_stays_whole():
    long, short = [(1, 1.0)] * 74, [(2, 1.2)] * 7
    assert [len(chunk) for chunk in filled_by_groups([long, short])] == [74, 7]
    assert [len(chunk) for chunk in filled_by_groups([long, [(2, 1.2)] * 8])] == [75, 7]
    assert filled_by_groups([]) == [[]]


def test_a_chunk_of_a1111_begins_after_a_comma_that_is_near():
    assert [len(chunk) for chunk in filled_by_commas(numbered(80), 0)] == [75, 5]
    assert [len(chunk) for chunk in filled_by_commas(numbered(80, 60), 0)] == [61, 19]
    assert [len(chunk) for chunk in filled_by_commas(numbered(80, 54), 0)] == [75, 5]
    assert [len(chunk) for chunk in filled_by_commas(numbered(80, 55), 0)] == [56, 24]
    found = filled_by_commas(numbered(200, 60, 130), 0)
    assert [token for chunk in found for token, _ in chunk] == [each[0][0] for each in numbered(200, 60, 130)]
