"""The gallery, the table of the cache and the stats as a person uses them: a real JupyterLab in a real browser."""

import re

import pytest
from playwright.sync_api import Locator, expect
from widgets.notebook_page import LONG, NotebookPage

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror='window.planted=1'><script>window.planted=1</script>$\\frac$"
SETUP = f"""
import nbgraph as nb
from nbgraph.invocations import Add, BlankImage, ResizeImage, String

HOSTILE = {HOSTILE!r}

@nb.node
def broken(text: str = "") -> str:
    raise ValueError(text)

def picture(width=16, name="blank"):
    return ResizeImage(id="small", image=BlankImage(id=name, width=width, height=16, color="red"), width=8, height=8)

def chain(value=1):
    one = Add(id="one", a=value, b=1)
    return Add(id="three", a=Add(id="two", a=one, b=1), b=1)
"""
SHOWN, PYTHON = 0, 1


@pytest.fixture(scope="module")
def notebook(desk, request):
    """One notebook for all tests; each makes a studio of its own."""
    with desk.notebook(request.path.stem, "0", SETUP) as opened:
        yield opened


@pytest.fixture
def book(notebook):
    """The notebook with a new studio, in which two pictures were made and a sum; no flag may be set by a text."""
    notebook.errors.clear()
    notebook.execute(
        PYTHON,
        "studio = nb.Studio(); runs = [studio.run(picture(w), progress=False) for w in (16, 24)]; "
        "studio.run(chain(), progress=False); None",
    )
    yield notebook
    assert notebook.page.evaluate("window.planted") is None
    assert notebook.errors == []


def gallery(book: NotebookPage) -> Locator:
    book.execute(SHOWN, "studio.images")
    shown = book.cell(SHOWN).locator(".nbp-gallery")
    expect(shown.locator(".nbp-tile").first).to_be_visible(timeout=LONG)
    return shown


def cache(book: NotebookPage) -> Locator:
    book.execute(SHOWN, "studio.cache")
    shown = book.cell(SHOWN).locator(".nbp-cache")
    expect(shown.get_by_role("rowheader").first).to_be_visible(timeout=LONG)
    return shown


def said(book: NotebookPage, source: str) -> str:
    """What a line of Python prints."""
    book.execute(PYTHON, f"print({source})")
    return book.output(PYTHON).strip()


def test_deleting_a_picture_says_which_cache_entries_go_and_they_go(book):
    shown = gallery(book)
    expect(shown.locator(".nbp-where")).to_have_text("1 to 4 of 4 pictures")
    shown.get_by_role("checkbox", name=re.compile("choose blank")).first.check()
    shown.get_by_role("button", name="Delete 1").click()
    question = shown.get_by_role("alertdialog")
    expect(question).to_contain_text("Delete 1 picture? 1 cached result names it and will go too:")
    expect(question.get_by_role("listitem")).to_have_text(["blank blank_image"])
    expect(question.get_by_role("button", name="Keep")).to_be_focused()
    question.get_by_role("button", name="Delete").click()
    expect(shown.locator(".nbp-tile")).to_have_count(3)
    expect(shown.get_by_role("status")).to_contain_text("1 picture and 1 cached result deleted")
    assert said(book, "sorted(studio.cache.frame.node)") == "['blank', 'one', 'small', 'small', 'three', 'two']"


def test_forgetting_an_entry_downstream_makes_exactly_its_downstream_run_again(book):
    shown = cache(book)
    row = shown.get_by_role("row").filter(has=book.page.get_by_role("rowheader", name="two", exact=True))
    row.get_by_role("checkbox").check()
    shown.get_by_role("button", name="Forget downstream").click()
    question = shown.get_by_role("alertdialog")
    expect(question.get_by_role("listitem")).to_have_text(["two add", "three add"])
    question.get_by_role("button", name="Forget").click()
    expect(shown.get_by_role("rowheader", name="one", exact=True)).to_be_visible()
    expect(shown.get_by_role("rowheader", name="two", exact=True)).to_have_count(0)
    expect(shown.get_by_role("rowheader", name="three", exact=True)).to_have_count(0)
    rows = said(book, 'studio.run(chain(), progress=False).stats[["node", "cached"]].values.tolist()')
    assert rows == "[['one', True], ['two', False], ['three', False]]"
    expect(shown.get_by_role("rowheader", name="three", exact=True)).to_be_visible()
    expect(shown.locator(".nbp-status")).to_contain_text("1 hit ")


def test_the_table_is_sorted_filtered_limited_and_says_what_would_run(book):
    shown = cache(book)
    shown.get_by_role("button", name="Node").click()
    expect(shown.get_by_role("rowheader").first).to_have_text("blank")
    expect(shown.locator("th.nbp-node")).to_have_attribute("aria-sort", "ascending")
    shown.get_by_label("search entries").fill("two")
    expect(shown.get_by_role("rowheader")).to_have_text(["two"])
    shown.get_by_label("search entries").fill("")
    shown.get_by_label("node type").select_option("add")
    expect(shown.locator(".nbp-entries").get_by_role("rowheader")).to_have_text(["one", "three", "two"])
    book.execute(PYTHON, "studio.cache.why(chain(value=5)); None")
    shown.get_by_text("What would run now").click()
    expect(shown.locator(".nbp-why tbody tr")).to_have_count(3)
    expect(shown.locator(".nbp-why tbody tr").first).to_contain_text("one.a 1 -> 5")
    shown.locator("summary", has_text="Limit").click()
    shown.get_by_label("most entries").fill("2")
    shown.get_by_role("button", name="Set").click()
    shown.get_by_label("node type").select_option("")
    expect(shown.locator(".nbp-entries").get_by_role("rowheader")).to_have_count(2)
    shown.get_by_role("switch").uncheck()
    assert said(book, "len(studio.cache), studio.services.invocation_cache.enabled") == "2 False"


def test_pictures_are_starred_opened_and_compared_by_keyboard_alone(book):
    shown = gallery(book)
    shown.get_by_role("button", name=re.compile("star blank")).first.focus()
    book.press("Enter")
    expect(shown.locator(".nbp-starred")).to_have_count(1)
    shown.get_by_role("button", name=re.compile("open blank")).first.focus()
    book.press("Enter")
    expect(shown.locator(".nbp-full")).to_be_visible()
    expect(shown.locator(".nbp-graph")).to_be_visible()
    expect(shown.get_by_role("cell", name="blank.width")).to_be_visible()
    for key in ("x", "d", "d", "b"):
        book.press(key)
    book.press("Escape")
    expect(shown.locator(".nbp-full")).to_have_count(0)
    for place in range(2):
        shown.get_by_role("checkbox", name=re.compile("choose blank")).nth(place).focus()
        book.press("Space")
    shown.get_by_role("button", name="Compare").focus()
    book.press("Enter")
    slider = shown.get_by_role("slider")
    slider.focus()
    book.press("ArrowRight")
    expect(slider).to_have_value("51")
    expect(shown.get_by_role("row", name="blank.width 24 16")).to_be_visible()
    expect(book.page.locator(".jp-Notebook .jp-Cell")).to_have_count(2)
    assert said(book, "list(studio.images.search(starred=True).node)") == "['blank']"


def test_ticks_survive_pages_and_searches_and_two_of_different_pages_are_compared(book):
    book.execute(
        PYTHON,
        "for n in range(13): studio.run([picture(100 + n), String(id='s', value='Gooseberry')], progress=False)",
    )
    shown = gallery(book)
    expect(shown.locator(".nbp-where")).to_have_text("1 to 24 of 30 pictures")
    thumbs = shown.locator(".nbp-thumb")
    thumbs.nth(22).focus()
    book.press("Space")
    book.press("ArrowRight")
    book.press("ArrowRight")
    expect(shown.locator(".nbp-where")).to_have_text("25 to 30 of 30 pictures")
    expect(thumbs.first).to_be_focused()
    book.press("Space")
    expect(shown.get_by_role("button", name="2 ticked (1 elsewhere)")).to_be_visible()
    shown.get_by_role("button", name="Compare").click()
    expect(shown.get_by_role("slider")).to_be_visible()
    book.press("Escape")
    shown.get_by_label("search pictures").fill("gooseBERRY")
    expect(shown.locator(".nbp-where")).to_have_text("1 to 24 of 26 pictures")
    thumbs.first.focus()
    book.press("Control+a")
    expect(shown.get_by_role("button", name="25 ticked (1 elsewhere)")).to_be_visible()
    shown.get_by_role("button", name=re.compile("ticked")).click()
    shown.get_by_label("order of pictures").select_option("oldest")
    shown.get_by_label("search pictures").fill("")
    expect(shown.locator(".nbp-where")).to_have_text("1 to 24 of 30 pictures")
    thumbs.first.click(modifiers=["Control"])
    thumbs.nth(3).click(modifiers=["Shift"])
    expect(shown.get_by_role("button", name="Delete 4")).to_be_enabled()


def test_a_picture_is_opened_on_a_canvas_and_made_again_with_another_seed(book):
    book.execute(
        PYTHON,
        "from nbgraph.invocations import RandomInteger\n"
        "width = RandomInteger(id='number', low=8, high=5000)\n"
        "run = studio.run(BlankImage(id='drawn', width=width, height=8), progress=False)\n",
    )
    shown = gallery(book)
    shown.get_by_role("button", name=re.compile("open drawn")).first.click()
    shown.get_by_role("button", name="Another seed").click()
    expect(shown.locator(".nbp-tile")).to_have_count(6)
    shown.get_by_role("button", name=re.compile("open drawn")).nth(1).click()
    shown.get_by_role("button", name="Open on canvas").click()
    canvas = book.cell(SHOWN).locator(".nbg-editor")
    expect(canvas.get_by_label("number seed", exact=True)).not_to_have_value("")
    expect(canvas).to_be_focused()
    book.press("Control+Enter")
    expect(canvas.locator("img.nbg-result")).to_be_visible()
    assert said(book, "studio.graphs.frame.name.tolist()") == "[]"
    book.cell(SHOWN).get_by_role("button", name="Close the canvas").click()
    expect(canvas).to_have_count(0)


def test_a_new_picture_and_one_that_is_deleted_in_python_are_seen_at_once(book):
    shown = gallery(book)
    book.execute(PYTHON, "studio.run(picture(32), progress=False); None")
    expect(shown.locator(".nbp-tile")).to_have_count(6)
    book.execute(PYTHON, "studio.images.delete(*studio.images.frame.image_name[:5]); None")
    expect(shown.locator(".nbp-tile")).to_have_count(1)


def test_what_the_kernel_refuses_is_shown_under_the_widget(book):
    shown = gallery(book)
    book.execute(PYTHON, "name = studio.images.widget._services.images; name._records.clear(); None")
    shown.get_by_role("button", name=re.compile("open small")).first.click()
    expect(shown.get_by_role("alert")).to_contain_text("there is no image")


def test_markup_in_names_prompts_metadata_and_errors_stays_text(book):
    book.execute(
        PYTHON,
        "from PIL import Image\n"
        "images = studio.services.images\n"
        "images.save(Image.new('RGB', (8, 8)), node_id=HOSTILE, metadata={HOSTILE: HOSTILE})\n"
        "bad = studio.submit(broken(id='bad', text=String(id='words', value=HOSTILE)), on_error='continue').wait()\n"
        "output = runs[0].session.outputs_of('blank')[()]\n"
        "from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry\n"
        "entry = CacheEntry(b'k' * 16, HOSTILE, HOSTILE, '{}', output=output)\n"
        "studio.services.invocation_cache.save(entry)",
    )
    shown = gallery(book)
    expect(shown.locator(".nbp-caption").first).to_contain_text("<img src=x")
    shown.locator(".nbp-thumb").first.click()
    shown.get_by_text("Metadata").click()
    expect(shown.locator("pre")).to_contain_text("<script>")
    shown.get_by_role("button", name="Delete").click()
    expect(shown.get_by_role("alertdialog")).to_be_visible()
    table = cache(book)
    expect(table.get_by_role("rowheader", name=re.compile("<img src=x"))).to_be_visible()
    expect(table.get_by_label("node type")).to_contain_text("<script>")
    book.execute(SHOWN, "studio.stats_view().choose([bad])")
    stats = book.cell(SHOWN).locator(".nbp-stats")
    expect(stats).to_contain_text("ValueError: <img src=x", timeout=LONG)
    book.execute(SHOWN, "display(studio.stats_view()._static(), raw=True); display(studio.images._static(), raw=True)")
    expect(book.cell(SHOWN).locator("figcaption").first).to_contain_text("<img src=x")
    book.page.wait_for_timeout(300)


def test_stats_are_chosen_plotted_and_saved(book, tmp_path):
    book.execute(SHOWN, "view = studio.stats_view().choose(runs, plot='Compare two runs'); view")
    stats = book.cell(SHOWN).locator(".nbp-stats")
    expect(stats.locator("svg")).to_be_visible(timeout=LONG)
    nodes = stats.get_by_role("table", name="nodes").get_by_role("row")
    expect(nodes).to_have_count(5)
    stats.get_by_role("button", name="Timeline").click()
    expect(stats.get_by_role("button", name="Timeline")).to_have_attribute("aria-pressed", "true")
    expect(stats.get_by_role("button", name="Timeline")).to_be_focused()
    expect(stats.locator("svg text", has_text="small").first).to_be_visible()
    ticked = stats.get_by_role("table", name="runs").get_by_role("checkbox", checked=True)
    ticked.first.uncheck()
    expect(nodes).to_have_count(3)
    stats.get_by_role("table", name="runs").get_by_role("row").nth(2).get_by_role("checkbox").check()
    stats.get_by_role("table", name="runs").get_by_role("row").nth(3).get_by_role("checkbox").check()
    expect(ticked).to_have_count(2)
    stats.get_by_text("Columns").click()
    stats.get_by_role("checkbox", name="Seconds").uncheck()
    expect(stats.get_by_role("columnheader", name="Seconds")).to_have_count(0)
    stats.get_by_text("Save", exact=True).click()
    stats.get_by_role("textbox", name="name of the file").fill(str(tmp_path / "figures"))
    stats.get_by_role("button", name="CSV").click()
    expect(stats.get_by_role("status")).to_contain_text("figures.csv")
    stats.get_by_role("button", name="PNG").click()
    expect(stats.get_by_role("status")).to_contain_text("figures.png")
    assert (tmp_path / "figures.csv").read_text().count("\n") == 5
    assert (tmp_path / "figures.png").read_bytes().startswith(b"\x89PNG")
    book.execute(PYTHON, "view.choose(runs[:1], plot='Compare two runs'); None")
    expect(stats.get_by_role("alert")).to_contain_text("two runs can be compared, and 1 are chosen")


def test_a_notebook_opened_without_its_kernel_still_shows_pictures_and_tables(book):
    book.execute(PYTHON, "display(studio.images); display(studio.cache); display(studio.stats_view())")
    outputs = book.cell(PYTHON)
    expect(outputs.locator(".nbp-tile").first).to_be_visible(timeout=LONG)
    expect(outputs.locator(".nbp-stats svg")).to_be_visible(timeout=LONG)
    statics = outputs.locator(".nbgraph-static")
    expect(statics).to_have_count(3)
    for place in range(3):
        expect(statics.nth(place)).to_be_hidden()
    book.page.wait_for_timeout(1500)
    save = book.page.get_by_role("button", name=re.compile("^Save and create"))
    book.save(save.click)
    book.lab.end_sessions()
    book.open()
    expect(statics).to_have_count(3, timeout=LONG)
    expect(statics.nth(0).locator("img").first).to_be_visible()
    expect(statics.nth(1).get_by_role("cell", name="three")).to_be_visible()
    expect(statics.nth(2).locator("img")).to_be_visible()
