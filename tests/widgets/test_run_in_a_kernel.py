"""Runs in a real kernel: one display for each run, nothing left open, and pictures that need no kernel to be seen."""

import pytest
from widgets.live_kernel import WIDGET_VIEW, LiveKernel

SETUP = """
import gc, threading, time
import nbgraph as nb
from comm import get_comm_manager
from ipywidgets.widgets.widget import _instances
from PIL import Image
from nbgraph.invocations import Add, Image as Picture
from nbgraph.invocations.fields import ImageField
from nbgraph.services.shared.graph.graph import Graph

studio = nb.Studio()
name = studio.services.images.save(Image.new("RGB", (60, 40), "teal")).image_name

def picture(id="picture"):
    return Graph([Picture(id=id, image=ImageField(image_name=name))])

@nb.node
def wait(context: nb.InvocationContext, seconds: float = 0.6, tag: str = "") -> float:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        context.progress(0, 1)
        time.sleep(0.01)
    return seconds

@nb.node
def broken(text: str = "") -> str:
    raise ValueError(text)
"""
PICKY = """def refuse(text):
    raise ValueError(text)

@nb.node
def picky(text: str = "") -> str:
    return refuse(text)
"""
RUN_200 = """
import tracemalloc

queue, form = studio.queue.widget, studio.form(picture())

def one_run():
    studio.services.processor.pause()
    run = studio.submit(picture(), {})
    show = run.display()
    show()
    studio.services.processor.resume()
    run.wait(show=show)

def counts():
    gc.collect()
    return threading.active_count(), len(get_comm_manager().comms), len(_instances)

for _ in range(5):
    one_run()
before = counts()
tracemalloc.start()
base = tracemalloc.get_traced_memory()[0]
for _ in range(200):
    one_run()
after = counts()
grown = tracemalloc.get_traced_memory()[0] - base
tracemalloc.stop()
"""


@pytest.fixture(scope="module")
def kernel():
    made = LiveKernel()
    made.run(SETUP)
    yield made
    made.close()


def test_a_run_shows_itself_once_and_what_stays_is_a_picture_without_a_widget(kernel):
    outputs = kernel.run("studio.run(picture())")
    assert len(outputs) == 1
    assert 'src="data:image/jpeg;base64,' in outputs[0]["text/html"]
    assert outputs[0]["text/plain"].startswith("Run(completed")
    assert WIDGET_VIEW not in outputs[0]
    assert outputs[0]["image/png"]


def test_a_run_is_a_widget_only_while_it_runs(kernel):
    before = set(kernel.comms)
    message = kernel.begin("run = studio.run(wait(seconds=1.5))")
    outputs: list = []
    while not any(WIDGET_VIEW in output for output in outputs):
        kernel._take(outputs, 20)
    assert "Run(running" in outputs[0]["text/plain"]
    assert kernel.end(message) == []
    assert WIDGET_VIEW not in outputs[0]
    assert "completed" in outputs[0]["text/html"]
    left = [state for key, state in kernel.comms.items() if key not in before and state.get("_widget") == "run_view"]
    assert left == []


def test_a_submitted_run_shows_itself_and_ends_by_itself(kernel):
    outputs = kernel.run("job = studio.submit(wait(seconds=1.0, tag='job')); job")
    assert WIDGET_VIEW in outputs[0]
    kernel.until(lambda: "completed" in outputs[0].get("text/html", ""))
    assert WIDGET_VIEW not in outputs[0]


def test_a_run_that_is_shown_again_later_is_shown(kernel):
    kernel.run("run = studio.run(picture(), progress=False)")
    assert "<img" in kernel.run("run")[0]["text/html"]


def test_a_form_leaves_what_was_typed_and_its_picture_beside_the_widget(kernel):
    outputs = kernel.run("form = studio.form(picture()); form")
    assert WIDGET_VIEW in outputs[0]
    assert "text/html" not in outputs[0]
    assert 'class="nbgraph-static nbgraph-static-' in outputs[1]["text/html"]
    assert "<img" not in outputs[1]["text/html"]
    kernel.run("form.run().wait()")
    kernel.until(lambda: "<img" in outputs[1]["text/html"])


@pytest.mark.parametrize("style", ["'text'", "False", "seen.append"])
def test_other_kinds_of_progress_show_no_widget(kernel, style):
    outputs = kernel.run(f"seen = []; run = studio.run(wait(seconds=0.6, tag={style!r}), progress={style})")
    assert not any("text/html" in output for output in outputs)
    assert any("stderr" in output for output in outputs) == (style == "'text'")
    if style == "seen.append":
        assert "True" in kernel.run("seen[-1].status == 'completed' and len(seen) >= 2")[0]["text/plain"]


def test_an_error_stands_in_the_display_as_text(kernel):
    outputs = kernel.run(
        "try:\n    studio.run(broken(text='<script>planted = 1</script>'))\nexcept nb.NodeError as error: pass"
    )
    assert "&lt;script&gt;planted" in outputs[0]["text/html"]
    assert "<script" not in outputs[0]["text/html"]


def test_an_error_in_a_cell_shows_the_cell_and_the_line_of_the_node(kernel):
    number = kernel.run("len(In)")[0]["text/plain"]  # of the next cell
    kernel.run(PICKY)
    outputs = kernel.run("try:\n    studio.run(picky(text='no'))\nexcept nb.NodeError as error: print(error)")
    place = f"at: cell [{number}], line 2, in refuse: raise ValueError(text)"
    assert place in outputs[0]["text/html"]
    assert f"failed: ValueError: no\n  {place}\n  inputs: text='no'\n" in outputs[-1]["stdout"]


def test_an_interrupt_cancels_the_run_and_its_display_says_so(kernel):
    message = kernel.begin(
        "try:\n    studio.run(wait(seconds=30, tag='long'))\nexcept KeyboardInterrupt:\n    print('stopped')"
    )
    outputs: list = []
    while not any(WIDGET_VIEW in output for output in outputs):
        kernel._take(outputs, 20)
    kernel.interrupt()
    rest = kernel.end(message, 60)
    assert {"stdout": "stopped\n"} in rest
    assert "cancelled" in outputs[0]["text/html"]


def test_after_200_displayed_runs_no_thread_comm_or_widget_is_left(kernel):
    kernel.run(RUN_200)
    before, after, grown = eval(kernel.run("before, after, grown")[0]["text/plain"])
    assert after == before
    assert grown < 200 * 64 * 1024
