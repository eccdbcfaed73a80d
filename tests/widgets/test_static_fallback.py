"""What is kept for readers without a kernel: sent anew seldom while one edits, and always at last."""

import pytest
from widgets.live_kernel import LiveKernel

SETUP = """
import time
import nbgraph as nb
from nbgraph.html import element
from nbgraph.invocations import Integer
from nbgraph.widgets.editor import GraphEditor
from nbgraph.widgets.static_fallback import StaticFallback

def change(count):
    global number
    for _ in range(count):
        number += 1
        side.changed()

def draw():
    drawings.append(number)
    return {"text/plain": "", "text/html": element("i", str(number))}
"""
SHOW = """
number, drawings = 0, []
side = StaticFallback("own", draw, quiet=%s, latest=%s)
side.show()
"""
NEVER = 3600
"""Seconds after which nothing here is drawn again."""
UNTIL_DRAWN_TWICE = """
began = time.monotonic()
while len(drawings) < 3 and time.monotonic() - began < 60:  # the first is that of the cell
    change(1)
    time.sleep(0.02)
seconds = time.monotonic() - began
side.close()
assert len(drawings) - 1 <= seconds / 0.3, (drawings, seconds)
assert 0 < drawings[1] < drawings[2] <= number
"""


@pytest.fixture(scope="module")
def started():
    made = LiveKernel()
    made.run(SETUP)
    yield made
    made.close()


@pytest.fixture
def kernel(started: LiveKernel):
    started.redrawn.clear()
    return started


def test_many_changes_are_drawn_once_when_they_have_ended(kernel):
    [shown] = kernel.run(SHOW % (1, NEVER))
    kernel.run("change(8)")
    assert "<i>0</i>" in shown["text/html"]
    kernel.until(lambda: "<i>8</i>" in shown["text/html"])
    assert len(kernel.redrawn) == 1


def test_changes_that_do_not_end_are_drawn_in_between(kernel):
    kernel.run(SHOW % (NEVER, 0.3))
    kernel.run(UNTIL_DRAWN_TWICE)
    assert len(kernel.redrawn) >= 2


def test_what_is_the_same_as_before_is_not_sent(kernel):
    kernel.run(SHOW % (0.5, NEVER))
    kernel.run("side.changed()")
    kernel.settle(1.5)
    assert kernel.redrawn == []


def test_a_side_that_was_closed_draws_no_more(kernel):
    kernel.run(SHOW % (0.5, NEVER))
    kernel.run("change(1); side.close(); side.draw_now()")
    kernel.settle(1.5)
    assert kernel.redrawn == []


def test_a_page_that_is_about_to_be_saved_gets_the_drawing_at_once(kernel):
    outputs = kernel.run("editor = GraphEditor(nb.Graph([Integer(id='one', value=12345)])); editor")
    editor = kernel.run("editor.model_id")[0]["text/plain"].strip("'")
    kernel.run("editor.graph.update_node('one', value=54321)")
    kernel.ask(editor, {"type": "draw"})
    kernel.run("None")
    assert ">54321<" in outputs[1]["image/svg+xml"]
    kernel.ask(editor, {"type": "draw"})
    kernel.run("None")
    assert len(kernel.redrawn) == 1
