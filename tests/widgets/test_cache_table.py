"""What the table of the cache answers: sorted pages, forgetting, limits, reasons, and refusals that change nothing."""

import time

import pytest
from PIL import Image
from waiting import comes_true
from widgets.panel_page import PanelPage

from nbgraph.invocations import Add, BlankImage, String
from nbgraph.invocations.node_type import hash_of
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.widgets.cache_table import CacheTable
from nbgraph.widgets.throttle import UPDATE_SECONDS

HOSTILE = "<script>window.planted = 1</script>"


def chain(value=1):
    """three = two + 1, two = one + 1, one = value + 1"""
    one = Add(id="one", a=value, b=1)
    return Add(id="three", a=Add(id="two", a=one, b=1), b=1)


def fill(studio, count):
    cache = studio.services.invocation_cache
    for number in range(count):
        material = f'{{"type": "add", "version": "1", "code": "x", "inputs": {{"a": {number}}}}}'
        entry = CacheEntry(hash_of(material), f"add[{number}]", "add", material, output=IntegerOutput(value=number))
        entry.seconds = number / 1000
        cache.save(entry)


@pytest.fixture
def page(studio):
    table = CacheTable(studio.services)
    yield PanelPage(table)
    table.close()


def entries(shown, **more):
    return shown.ask({"type": "list", "request": 3, **more})[0]["entries"]


def nodes(shown, **more):
    return [entry["node"] for entry in entries(shown, **more)]


def test_entries_are_sorted_filtered_and_searched(studio, page):
    studio.run(chain(), progress=False)
    studio.run(Add(id="three", a=3, b=1), progress=False)
    studio.run(BlankImage(id="blank", width=8, height=8), progress=False)
    assert nodes(page, sort="node", descending=False) == ["blank", "one", "three", "two"]
    assert nodes(page, sort="hits")[0] == "three"
    assert nodes(page, sort="bytes")[0] == "blank"
    assert nodes(page, node_type="blank_image") == ["blank"]
    assert nodes(page, text="TWO") == ["two"]
    studio.run(String(id="words", value="A red apple"), progress=False)
    assert nodes(page, text="red APPLE") == ["words"]


def test_an_entry_brings_its_thumbnail_and_what_it_names(studio, page):
    run = studio.run(BlankImage(id="blank", width=8, height=8), progress=False)
    answer, buffers = page.ask({"type": "list"})
    [entry] = answer["entries"]
    assert entry["resources"] == [run["blank"].image_name]
    assert answer["pictures"] == [entry["picture"]] == [run["blank"].image_name]
    assert len(buffers) == 1
    assert answer["status"]["size"] == 1


def test_ten_thousand_entries_are_answered_page_by_page(studio, page):
    fill(studio, 10_000)
    answer, _ = page.ask({"type": "list", "sort": "seconds", "page": 199, "per_page": 50})
    assert (answer["total"], answer["pages"], len(answer["entries"])) == (10_000, 200, 50)
    assert answer["entries"][-1]["node"] == "add[0]"
    assert len(str(answer)) < 40_000


def test_forgetting_alone_and_downstream(studio, page):
    studio.run(chain(), progress=False)
    keys = {entry["node"]: entry["key"] for entry in entries(page)}
    told, _ = page.ask({"type": "doomed", "keys": [keys["two"]], "downstream": True})
    assert sorted(told["nodes"]) == [["three", "add"], ["two", "add"]]
    assert len(studio.cache) == 3
    answer, _ = page.ask({"type": "forget", "keys": [keys["two"]], "downstream": False})
    assert (answer["count"], sorted(nodes(page))) == (1, ["one", "three"])
    studio.run(chain(), progress=False)
    assert list(studio.stats.tail(3).cached) == [True, False, True]
    keys = {entry["node"]: entry["key"] for entry in entries(page)}
    assert page.ask({"type": "forget", "keys": [keys["two"]]})[0]["count"] == 2
    studio.run(chain(), progress=False)
    assert list(studio.stats.tail(3).cached) == [True, False, False]


def test_the_cache_is_switched_limited_and_cleared(studio, page):
    fill(studio, 10)
    assert page.ask({"type": "switch", "on": False})[0]["status"]["on"] is False
    assert not studio.services.invocation_cache.enabled
    page.ask({"type": "switch", "on": True})
    answer, _ = page.ask({"type": "limit", "max_entries": 4})
    assert (answer["count"], len(studio.cache)) == (6, 4)
    assert page.ask({"type": "clear"})[0]["count"] == 4
    assert len(studio.cache) == 0


def test_what_would_run_now_is_told_for_a_graph_that_was_given_and_for_runs(studio, page):
    studio.run(chain(), progress=False)
    graph = Graph.of(chain(value=5))
    page.widget.ask_about(graph)
    answer, _ = page.ask({"type": "why"})
    assert answer["graph"] == graph.id
    assert [(node, runs) for node, _, runs, _ in answer["reasons"]] == [("one", True), ("two", True), ("three", True)]
    assert answer["reasons"][0][3] == "one.a 1 -> 5"
    run = answer["graphs"][1][0]
    again, _ = page.ask({"type": "why", "graph": run})
    assert [runs for _, _, runs, _ in again["reasons"]] == [False, False, False]
    assert page.ask({"type": "why", "graph": "nothing"})[0]["type"] == "refused"


def test_the_view_of_the_studio_says_why_and_offers_the_graph_in_its_table(studio):
    studio.run(chain(), progress=False)
    reasons = studio.cache.why(chain(value=5))
    assert list(reasons.because) == ["one.a 1 -> 5", "one will run", "two will run"]
    assert [label for _, label in PanelPage(studio.cache.widget).ask({"type": "why"})[0]["graphs"]][0] == (
        "graph of three (3 nodes)"
    )


def test_hits_and_misses_are_told_while_runs_go_on(studio, page):
    entries(page)
    began = time.monotonic()
    for _ in range(3):
        studio.run(chain(), progress=False)
    assert comes_true(lambda: page.news and page.news[-1]["status"]["hits"] == 6)
    assert page.news[-1]["status"]["misses"] == 3
    assert len(page.news) <= 2 + (time.monotonic() - began) / UPDATE_SECONDS


def test_deleting_a_picture_is_news_for_the_table(studio, page):
    run = studio.run(BlankImage(id="blank", width=8, height=8), progress=False)
    assert nodes(page) == ["blank"]
    studio.images.delete(run["blank"].image_name)
    assert comes_true(lambda: page.news and page.news[-1]["status"]["size"] == 0)


BAD = [
    "text",
    [],
    {"type": "nothing"},
    {"type": "list", "sort": "secret"},
    {"type": "list", "per_page": 5000},
    {"type": "list", "descending": 1},
    {"type": "forget"},
    {"type": "forget", "keys": []},
    {"type": "forget", "keys": ["xyz"]},
    {"type": "forget", "keys": ["AB" * 16]},
    {"type": "forget", "keys": "ab" * 16},
    {"type": "clear", "really": True},
    {"type": "switch", "on": "no"},
    {"type": "limit", "max_entries": -1},
    {"type": "limit", "max_bytes": 1.5},
    {"type": "why", "graph": 7},
    {"type": "why", "graph": HOSTILE},
]


@pytest.mark.parametrize("question", BAD, ids=lambda question: str(question)[:60])
def test_a_bad_question_is_refused_and_changes_nothing(studio, page, question):
    studio.run(chain(), progress=False)
    before = studio.services.invocation_cache.status()
    answer, _ = page.ask(question)
    assert answer["type"] == "refused"
    assert answer["message"]
    assert studio.services.invocation_cache.status() == before


def test_unknown_keys_forget_nothing(studio, page):
    studio.run(chain(), progress=False)
    assert page.ask({"type": "forget", "keys": ["00" * 16]})[0]["count"] == 0
    assert len(studio.cache) == 3


def test_without_a_kernel_the_cache_is_a_table_of_escaped_text(studio):
    cache = studio.services.invocation_cache
    cache.save(CacheEntry(hash_of("x"), HOSTILE, "add", "{}", output=IntegerOutput(value=1)))
    bundle = studio.cache._repr_mimebundle_()
    assert bundle["text/plain"].startswith("Cache(1 results")
    assert "&lt;script&gt;" in bundle["text/html"]
    assert HOSTILE not in bundle["text/html"]


def test_a_picture_that_is_gone_leaves_its_row_without_one(studio, page):
    name = studio.services.images.save(Image.new("RGB", (4, 4))).image_name
    studio.services.images._drop([name])
    assert page.widget._picture(name) == b""
