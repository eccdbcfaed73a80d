"""Weights in prompts are read as ComfyUI and A1111 read them."""

import pytest

from nbgraph.diffusion.tool_prompt import weighted_pieces


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
    ],
)
def test_a1111(text, chunks):
    assert read(text, "a1111") == chunks
