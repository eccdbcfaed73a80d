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

def change(count, seconds=0.1):
    global number
    for _ in range(count):
        number += 1
        side.changed()
        time.sleep(seconds)
"""
SHOW = """
number = 0
side = StaticFallback("own", lambda: {"text/plain": "", "text/html": element("i", str(number))}, quiet=0.5, latest=%s)
side.show()
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
    [shown] = kernel.run(SHOW % 60)
    kernel.run("change(8)")
    assert "<i>0</i>" in shown["text/html"]
    kernel.until(lambda: "<i>8</i>" in shown["text/html"])
    assert len(kernel.redrawn) == 1


def test_changes_that_do_not_end_are_drawn_in_between(kernel):
    [shown] = kernel.run(SHOW % 1)
    kernel.run("change(16)")
    assert "<i>0</i>" not in shown["text/html"]
    assert 1 <= len(kernel.redrawn) < 8
    kernel.until(lambda: "<i>16</i>" in shown["text/html"])


def test_what_is_the_same_as_before_is_not_sent(kernel):
    kernel.run(SHOW % 60)
    kernel.run("side.changed()")
    kernel.settle(1.5)
    assert kernel.redrawn == []


def test_a_side_that_was_closed_draws_no_more(kernel):
    kernel.run(SHOW % 60)
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
