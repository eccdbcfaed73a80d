"""What differs between two graphs, and which difference made the image another one."""

import PIL.Image
import pytest
from typer.testing import CliRunner

import nbgraph as nb
from nbgraph.cli.app import app
from nbgraph.errors import NbgraphError, NotFoundError
from nbgraph.invocations import Add, BlankImage, BlurImage, Multiply, Noise, ResizeImage, String
from nbgraph.services.shared.graph.graph import Graph


@nb.node(category="test")
def ablation_page(a: int, b: int, c: int, boost: bool = False) -> nb.Image:
    """A grey page: a counts ten times as much as b, c not at all, and boost only where b is set."""
    return PIL.Image.new("RGB", (8, 8), (10 * a + b + (50 if boost and b else 0),) * 3)


@nb.node(category="test")
def ablation_seeded(seed: int = 0, low: int = 0) -> nb.Image:
    """A page; there is none of a low number over 3."""
    if low > 3:
        raise ValueError("too low")
    return PIL.Image.new("RGB", (8, 8), (seed + low,) * 3)


def page(**inputs) -> ablation_page:
    return ablation_page(**{"id": "page", "a": 1, "b": 1, "c": 1, **inputs})


# diff


def test_inputs_edges_and_nodes_that_differ_are_named():
    a = Graph.of(Add(id="total", a=Add(id="first", a=1, b=2), b=3))
    b = Graph.of(Add(id="total", a=7, b=4), BlankImage(id="page"))
    found = nb.diff(a, b)
    assert repr(found).splitlines() == [
        "- first (add)",
        "~ total.a: from first.value -> 7",
        "~ total.b: 3 -> 4",
        "+ page (blank_image)",
    ]
    assert list(found.frame.kind) == ["removed", "changed", "changed", "added"]
    assert len(found.inputs) == 2


def test_equal_graphs_differ_in_nothing_and_other_types_in_themselves():
    assert nb.diff(page(), page()).is_empty
    assert repr(nb.diff(page(), page())) == "nothing differs"
    assert repr(nb.diff(Add(id="x"), BlankImage(id="x"))) == "~ replaced x: 'add' -> 'blank_image'"
    assert repr(nb.diff(BlurImage(id="x", radius=1), BlurImage(id="x", radius=2))) == "~ x.radius: 1.0 -> 2.0"


def test_runs_saved_images_and_files_are_compared(studio, tmp_path):
    runs = [studio.run(page(a=a), progress=False) for a in (1, 2)]
    assert repr(nb.diff(*runs)) == "~ page.a: 1 -> 2"
    for name, run in zip("xy", runs):
        run.images[0].save(tmp_path / f"{name}.png")
    found = nb.diff(tmp_path / "x.png", tmp_path / "y.png")
    assert repr(found) == "~ page.a: 1 -> 2"
    (tmp_path / "z.json").write_text(Graph.of(page(a=2)).to_json())
    assert nb.diff(tmp_path / "z.json", runs[1]).is_empty


def test_what_is_no_graph_is_refused():
    with pytest.raises(NbgraphError, match="a diff is of graphs, nodes, runs, images and files, not of 3"):
        nb.diff(3, page())
    with pytest.raises(NotFoundError, match="there is no file"):
        nb.diff("nowhere.json", page())


def test_a_diff_is_escaped_in_a_cell():
    html = nb.diff(String(id="s", value="<b>"), String(id="s", value="<i>"))._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_the_program_says_what_differs(tmp_path):
    for name, a in (("x", 1), ("y", 2)):
        (tmp_path / f"{name}.json").write_text(Graph.of(BlankImage(id="page", width=8 * a)).to_json())
    done = CliRunner().invoke(app, ["diff", str(tmp_path / "x.json"), str(tmp_path / "y.json")])
    assert done.output == "~ page.width: 8 -> 16\n"
    assert CliRunner().invoke(app, ["diff", "nowhere", "x"]).exit_code == 2


# ablation


def test_the_input_that_made_the_image_another_one_comes_first(studio):
    found = studio.ablate(page(a=1, b=1, c=1), page(a=9, b=3, c=4))
    frame = found.frame
    assert list(frame.input) == ["page.a", "page.b", "page.c"]
    assert list(frame["mean"]) == [80, 2, 0]
    assert list(frame.interaction) == [0, 0, 0]
    assert found.whole == 82
    assert found.sentences[:2] == ["the images differ by 82 of 255", "page.a 1 -> 9: 80"]


def test_inputs_that_act_together_are_told_from_both_ends(studio):
    found = studio.ablate(page(b=0), page(b=1, boost=True))
    by_input = found.frame.set_index("input")
    assert (by_input.from_a["page.boost"], by_input.from_b["page.boost"]) == (0, 50)
    assert "0 in a, 50 in b, so it acts with the others" in found.sentences[2]
    assert found._repr_html_().count("<img") == 4


def test_one_difference_is_all_of_it_and_runs_are_compared_as_they_ran(studio):
    a, b = (studio.run(page(a=a), progress=False) for a in (1, 2))
    found = studio.ablate(a, b)
    assert list(found.frame.from_a) == list(found.frame.from_b) == [found.whole]
    assert len(studio.queue.frame) == 2 + 4


def test_a_combination_that_fails_is_not_known_and_the_others_are(studio):
    one, other = ablation_seeded(id="s", seed=1, low=1), ablation_seeded(id="s", seed=30, low=9)
    with pytest.raises(NbgraphError, match="b gave no image"):
        studio.ablate(one, other)


def test_what_cannot_be_ablated_is_refused_before_anything_runs(studio):
    with pytest.raises(NbgraphError, match="do not differ in any input"):
        studio.ablate(page(), page())
    with pytest.raises(NbgraphError, match=r"differ in nodes or edges too: \+ "):
        studio.ablate(page(), ResizeImage(id="small", image=page(), width=4, height=4))
    with pytest.raises(NbgraphError, match="noise.seed is left open, so every run draws another; give it a value"):
        studio.ablate(Noise(id="noise", width=64), Noise(id="noise", width=128))
    assert len(studio.queue) == 0


def test_a_diff_marks_the_nodes_of_b_and_names_those_that_are_gone(studio):
    before = Add(id="total", a=Add(id="old", a=1, b=2), b=3)
    after = Add(id="total", a=Multiply(id="new", a=1, b=2), b=Add(id="same", a=1, b=1))
    found = nb.diff(before, after)
    assert found.marks == {"total": "changed", "new": "added", "same": "added"}
    assert found.summary == "2 added, 1 changed, 1 removed: old (add)"
    assert nb.diff(after, after).summary == "no node differs"
    editor = studio.show_diff(before, after)
    assert list(editor.graph.nodes) == list(found.graph.nodes)
    assert editor._marks == {"nodes": found.marks, "text": found.summary}
    editor.close()
