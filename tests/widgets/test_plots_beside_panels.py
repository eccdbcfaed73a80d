"""Plots of a cell are whole, whatever panels beside it are told or draw meanwhile."""

import threading
from io import BytesIO

import matplotlib
import matplotlib.pyplot as plt
import pytest
from widgets.live_kernel import LiveKernel

from nbgraph.invocations import Add, Collect, Iterate, Range
from nbgraph.widgets.stats_view import draw_plot

SETUP = """
%matplotlib inline
import time
import matplotlib.pyplot as plt
import nbgraph as nb
from IPython.display import display
from nbgraph.invocations import Add

studio = nb.Studio()
studio.run(Add(a=1, b=2), progress=False)
panel, queue = studio.stats_view().widget, studio.queue.widget
form = studio.form(Add(a=1, b=2))

def plot(seconds=0.0):
    figure, axes = plt.subplots()
    time.sleep(seconds)
    axes.plot([1, 3, 2])
    time.sleep(seconds)
    axes.set_title("late")

def comm_of(widget):
    return widget.comm.comm_id
"""
WIDGETS = {
    "stats view": "panel",
    "queue": "queue",
    "run button of a form": "form._run_button",
    "input of a form": "next(iter(form._controls.values())).parts[0]",
}


@pytest.fixture(scope="module")
def kernel():
    made = LiveKernel()
    made.run(SETUP)
    yield made
    made.close()


@pytest.fixture(scope="module")
def alone(kernel):
    """The picture of a plot with nothing beside it."""
    (output,) = kernel.run("plot()")
    return output["image/png"]


@pytest.mark.parametrize("widget", WIDGETS)
def test_a_plot_is_whole_though_a_panel_hears_from_its_page_meanwhile(kernel, alone, widget):
    comm_id = kernel.run(f"comm_of({WIDGETS[widget]})")[0]["text/plain"].strip("'")
    subshell = kernel.new_subshell()
    cell = kernel.begin("plot(0.4)")
    for _ in range(3):
        kernel.settle(0.2)
        kernel.ask(comm_id, {"type": "show" if widget == "stats view" else "list"}, subshell)
        kernel.change(comm_id, {}, subshell)
    outputs = kernel.end(cell)
    assert [output["image/png"] == alone for output in outputs if "image/png" in output] == [True]


def test_a_plot_that_is_the_last_line_of_a_cell_is_shown_without_the_text_of_its_axes(kernel):
    outputs = kernel.run("studio.run(Add(a=1, b=2), progress=False).plot.timeline()")
    assert ["image/png" in output for output in outputs] == [True]


def picture(number: int) -> bytes:
    """A plot as a cell draws it, with pyplot."""
    figure, axes = plt.subplots(figsize=(4, 3), layout="constrained")
    axes.plot([1, 2, 3], [number, 2, 1], label="a")
    axes.set_title(rf"title $x_{number}^2$")
    axes.legend()
    drawn = saved(figure)
    plt.close(figure)
    return drawn


def saved(figure) -> bytes:
    target = BytesIO()
    figure.savefig(target, format="png", dpi=60)
    return target.getvalue()


def test_plots_drawn_in_a_thread_beside_those_of_a_cell_equal_those_drawn_alone(studio):
    matplotlib.use("agg")
    each = Add(id="each", a=Iterate(collection=Range(stop=6)), b=1)
    studio.run(Collect(item=each), progress=False)
    frame, kinds = studio.stats, ["timeline", "types"]
    drawn_alone = [saved(draw_plot(frame, kind, "seconds")) for kind in kinds]
    cell_alone = [picture(number) for number in range(3)]
    found: list[bool] = []

    def draw() -> None:
        found.extend(saved(draw_plot(frame, kind, "seconds")) == drawn_alone[kinds.index(kind)] for kind in kinds)

    panel = threading.Thread(target=draw)
    panel.start()
    while panel.is_alive():
        found.extend(picture(number) == cell_alone[number] for number in range(3))
    assert found
    assert all(found)
