"""Runs, forms and the queue as a person sees them: a real JupyterLab in a real browser, on the shipped model."""

import json
import re

import pytest
from playwright.sync_api import Locator, expect
from widgets.notebook_page import HOLD, LONG

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror='window.planted=1'><script>window.planted=1</script>"
SETUP = f"""
import nbgraph as nb
from nbgraph.invocations import DenoiseLatents, LatentsToImage, ModelLoader, Noise, Prompt

HOSTILE = {HOSTILE!r}
studio = nb.Studio()

@nb.node
def broken(text: str = "") -> str:
    raise ValueError(text)

def text_to_image(steps, seed=7):
    model = ModelLoader(id="model", model="emoji")
    noise, prompt = Noise(id="noise", unet=model, seed=seed), Prompt(id="prompt", text="a red apple", clip=model)
    denoise = DenoiseLatents(id="denoise", unet=model, noise=noise, steps=steps, cfg_scale=1, positive=prompt)
    return LatentsToImage(id="picture", latents=denoise, vae=model)

studio.run(text_to_image(1), progress=False)
studio.cache.clear()
{HOLD}
"""
RUN, OTHER = 0, 1


@pytest.fixture(scope="module")
def book(desk, request):
    """One notebook for all tests, so that torch is loaded once."""
    with desk.notebook(request.path.stem, "0", SETUP) as opened:
        yield opened
        assert opened.errors == []


@pytest.fixture(autouse=True)
def quiet(book):
    """Nothing runs, nothing waits, and no flag was set by a text."""
    yield
    assert book.page.evaluate("window.planted") is None


def step_of(cell: Locator) -> int:
    """The step of the denoise node."""
    meta = cell.locator('.nbp-run-node[data-node="denoise"] .nbp-run-meta')
    expect(meta).to_contain_text(re.compile(r"\d+/\d+"), timeout=LONG)
    return int(meta.inner_text().partition("/")[0])


def test_progress_moves_previews_come_and_the_picture_stays_without_a_widget(book):
    with book.held_at(100):
        cell = book.start(RUN, "run = studio.run(text_to_image(150, seed=1))")
        first = step_of(cell)
        expect(cell.get_by_alt_text("preview of the picture")).to_be_visible(timeout=LONG)
        expect(cell.locator(".nbp-head-line")).to_contain_text("left")
        assert step_of(cell) >= first
    expect(cell.locator(".nbgraph-run")).to_contain_text("completed", timeout=LONG)
    expect(cell.locator(".nbp-run")).to_have_count(0)
    assert cell.locator(".nbgraph-run img").evaluate("picture => picture.naturalWidth") > 0
    expect(cell.locator(".jp-OutputArea-child")).to_have_count(1)
    book.execute(OTHER, "end_of_hold()")


def test_a_run_that_has_ended_is_made_again_with_another_seed_and_opened_on_a_canvas_below(book):
    book.execute(RUN, "run = studio.run(text_to_image(1, seed=6))")
    cell = book.cell(RUN)
    cell.get_by_role("button", name="Another seed").click()
    again = cell.locator(".nbp-run")
    expect(again.get_by_alt_text("picture 1 of the run")).to_be_visible(timeout=LONG)
    again.get_by_role("button", name="Open on canvas").click()
    canvas = cell.locator(".nbg-editor")
    expect(canvas).to_be_focused(timeout=LONG)
    expect(canvas.get_by_label("noise seed", exact=True)).not_to_have_value(re.compile("^6?$"))
    expect(cell.locator(".nbgraph-run img")).to_be_visible()
    cell.get_by_role("button", name="Close the run").click()
    expect(canvas).to_have_count(0)
    book.save()
    assert "Open on canvas" not in book.path.read_text()


def test_cancel_stops_a_blocking_run_in_the_middle_of_a_step_sequence(book):
    cell = book.start(RUN, "run = studio.run(text_to_image(1000, seed=2))")
    step_of(cell)
    cell.get_by_role("button", name="Cancel").click()
    expect(cell.locator(".nbgraph-run")).to_contain_text("cancelled", timeout=LONG)
    book.execute(OTHER, "print(run.status, len(run.session), run.session.status)")
    assert "cancelled 3 cancelled" in book.output(OTHER)


def test_cancel_stops_a_submitted_run(book):
    cell = book.start(RUN, "job = studio.submit(text_to_image(1000, seed=3)); job")
    step_of(cell)
    cell.get_by_role("button", name="Cancel").press("Enter")
    expect(cell.locator(".nbgraph-run")).to_contain_text("cancelled", timeout=LONG)


def test_stop_ends_a_blocking_run_and_the_next_cell_runs(book):
    cell = book.start(RUN, "studio.run(text_to_image(1000, seed=4))")
    step_of(cell)
    book.page.get_by_role("button", name=re.compile("Interrupt")).first.click()
    expect(cell.locator(".jp-OutputArea")).to_contain_text("KeyboardInterrupt", timeout=LONG)
    expect(cell.locator(".nbgraph-run")).to_contain_text("cancelled")
    book.execute(OTHER, "print(studio.run(text_to_image(3), progress=False).status)")
    assert "completed" in book.output(OTHER)


def test_a_saved_notebook_shows_its_pictures_without_a_kernel(book):
    cell = book.start(RUN, "studio.run(text_to_image(40, seed=5))")
    expect(cell.locator(".nbgraph-run img")).to_be_visible(timeout=LONG)

    def is_saved() -> bool:
        book.press("Control+s")
        return "nbgraph-run" in book.path.read_text()

    book.until(is_saved, "the picture is not in the file")
    saved = json.loads(book.path.read_text())
    data = saved["cells"][RUN]["outputs"][0]["data"]
    assert "application/vnd.jupyter.widget-view+json" not in data
    saved["metadata"]["kernelspec"] = {"name": "no-such-kernel", "display_name": "none", "language": "python"}
    (book.lab.folder / "again.ipynb").write_text(json.dumps(saved))
    again = book.page.context.browser.new_page()
    again.goto(book.lab.url("again.ipynb"))
    picture = again.locator(".nbgraph-run img").first
    picture.wait_for(timeout=LONG)
    assert picture.evaluate("picture => picture.naturalWidth") > 0
    assert again.get_by_text("Error displaying widget").count() == 0
    again.close()


def test_hostile_texts_stay_texts_live_saved_in_the_form_and_in_the_queue(book):
    source = "studio.run(broken(id=HOSTILE, text=HOSTILE), on_error='continue')"
    cell = book.start(RUN, source)
    expect(cell.locator(".nbgraph-run [role=alert]")).to_contain_text(HOSTILE, timeout=LONG)
    cell = book.start(RUN, "studio.queue.pause(); job = studio.submit(broken(id=HOSTILE, text=HOSTILE + '2')); job")
    expect(cell.locator(".nbp-run-name")).to_contain_text(HOSTILE, timeout=LONG)
    cell = book.start(RUN, "form = studio.form(broken(id=HOSTILE, text=HOSTILE)); form.run(); form")
    expect(cell.locator(".jupyter-widgets").first).to_be_visible(timeout=LONG)
    cell = book.start(RUN, "studio.queue")
    expect(cell.locator(".nbp-queue-label").first).to_contain_text(HOSTILE, timeout=LONG)
    cell.get_by_role("button", name="Resume").click()
    expect(cell.locator('tr[data-status="failed"] .nbp-queue-error').first).to_contain_text(HOSTILE, timeout=LONG)
    book.page.wait_for_timeout(500)
    assert cell.locator("script").count() == 0


def test_a_form_runs_and_shows_the_picture_and_errors_under_it(book):
    cell = book.start(RUN, "form = studio.form('text to image'); form")
    cell.get_by_label("Prompt", exact=True).fill("a yellow star")
    cell.locator("button.jupyter-button", has_text="Run").click()
    expect(cell.locator(".nbp-run img[data-picture]")).to_be_visible(timeout=LONG)
    book.execute(OTHER, "print(form.values['prompt'])")
    assert "a yellow star" in book.output(OTHER)
    cell = book.start(RUN, "form = studio.form('image to image'); form")
    cell.locator("button.jupyter-button", has_text="Run").click()
    expect(cell.locator(".nbp-problem")).to_contain_text("image", timeout=LONG)


def test_plots_of_a_cell_are_whole_beside_panels_that_follow_runs(book):
    draw = """%matplotlib inline
import matplotlib.pyplot as plt
from nbgraph.invocations import Add
for number in range(6):
    figure, axes = plt.subplots()
    studio.submit(Add(a=number, b=1)).wait()
    __import__("time").sleep(0.4)
    axes.plot([1, 3, 2])"""
    cell = book.start(RUN, "from IPython.display import display; display(studio.stats_view()); studio.queue")
    expect(cell.locator(".nbp-bar").first).to_be_visible(timeout=LONG)
    book.execute(OTHER, draw)
    pictures = book.cell(OTHER).locator(".jp-OutputArea-output img")
    expect(pictures).to_have_count(6, timeout=LONG)
    assert len({picture.get_attribute("src") for picture in pictures.all()}) == 1


def test_the_queue_is_live_and_moves_and_cancels_runs(book):
    book.execute(OTHER, "studio.queue.clear(); studio.queue.pause(); jobs = []")
    cell = book.start(RUN, "studio.queue")
    expect(cell.locator(".nbp-empty")).to_be_visible(timeout=LONG)
    book.execute(OTHER, "jobs = [studio.submit(text_to_image(2, seed=seed)) for seed in (11, 12, 13)]")
    rows = cell.locator("tbody tr[data-session]")
    expect(rows).to_have_count(3, timeout=LONG)
    last = rows.nth(2).get_attribute("data-session")
    rows.nth(2).get_by_role("button", name="move to the front").click()
    expect(rows.nth(0)).to_have_attribute("data-session", last or "")
    rows.nth(2).get_by_role("button", name="cancel").click()
    expect(cell.locator('tr[data-status="cancelled"]')).to_have_count(1)
    cell.get_by_role("button", name="Resume").click()
    expect(cell.locator('tr[data-status="completed"]')).to_have_count(2, timeout=LONG)
    cell.get_by_role("button", name="Clear ended").click()
    expect(cell.locator(".nbp-empty")).to_be_visible()
