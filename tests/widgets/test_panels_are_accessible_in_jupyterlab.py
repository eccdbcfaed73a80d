"""What axe-core finds on every panel, sheet and table, in both themes: nothing."""

import pytest
from playwright.sync_api import expect
from widgets.notebook_page import LONG, NotebookPage
from widgets.test_editor_way_in import AXE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not AXE.is_file(), reason="npm ci was not run in nbgraph/widgets/js"),
]
FINDINGS = """async (place) => {
  const { violations } = await axe.run(place, { resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 4).map((one) => one.html).join(" | ")}`);
}"""
SETUP = """
import nbgraph as nb
from nbgraph.invocations import Add, BlankImage, ResizeImage
from nbgraph.invocations.outputs import FloatOutput
import time

studio = nb.Studio()

@nb.invocation("wait", title="Wait", category="test", version="1.0.0")
class Wait(nb.BaseInvocation):
    fails: bool = False

    def invoke(self, context) -> FloatOutput:
        if self.fails:
            raise ValueError("there is nothing to wait for")
        while not context.is_cancelled():
            time.sleep(0.02)
        return FloatOutput(value=0)

def graph(width=16):
    return ResizeImage(id="small", image=BlankImage(id="blank", width=width, height=16, color="red"), width=8, height=8)

runs = [studio.run(graph(width), progress=False) for width in (16, 24)]
"""
SHOWN, PYTHON = 0, 1
PANELS = {
    "gallery": ("studio.images", ".nbp-tile"),
    "cache": ("studio.cache", ".nbp-cache [role=rowheader], .nbp-cache th[scope=row]"),
    "queue": ("studio.queue", ".nbp-pill"),
    "stats": ("studio.stats_view().choose(runs)", ".nbp-stats svg"),
    "form": ("studio.form(graph())", "button"),
    "comparison": ("studio.images.compare(*studio.images.frame.image_name[:2])", ".nbp-stage img"),
    "sweep": ("studio.sweep(graph(), {'blank.height': [8, 16], 'blank.width': [8, 16]})", ".nbgraph-sweep img"),
    "graphs": ("studio.graphs.save(graph(), 'small'); studio.graphs", "figure"),
    "disk and models": ("display(studio.disk); studio.models", "table"),
    "without a kernel": (
        "views = studio.images, studio.cache, studio.queue, studio.stats_view()\n"
        "for view in views: display(view._static(), raw=True)",
        "table",
    ),
    "run that ended": ("runs[0]", "details"),
    "run that goes on": ("live = studio.submit(Wait(id='wait')); live", "button"),
    "run that failed": (
        "live.cancel(); studio.submit(Wait(id='wait', fails=True))",
        "[role=alert], pre, .nbr-error, details",
    ),
}


@pytest.fixture(scope="module")
def notebook(desk, request):
    with desk.notebook(request.path.stem, "0", SETUP) as opened:
        yield opened


def findings(book: NotebookPage) -> list[str]:
    return book.cell(SHOWN).locator(".jp-OutputArea").first.evaluate(FINDINGS)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_nothing_on_any_panel(notebook, theme):
    notebook.lab.set_theme(theme)
    notebook.save()
    notebook.page.goto(notebook.lab.url(notebook.name).replace("?reset&", "?"))
    notebook.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=LONG)
    notebook.page.add_script_tag(path=AXE)
    found: dict[str, list[str]] = {}
    for name, (source, part) in PANELS.items():
        notebook.execute(SHOWN, source)
        expect(notebook.cell(SHOWN).locator(part).first).to_be_visible(timeout=LONG)
        found[name] = findings(notebook)
    notebook.execute(SHOWN, "studio.images")
    notebook.cell(SHOWN).locator(".nbp-thumb").first.click()
    expect(notebook.cell(SHOWN).locator(".nbp-full")).to_be_visible()
    found["picture"] = findings(notebook)
    assert {panel: each for panel, each in found.items() if each} == {}
