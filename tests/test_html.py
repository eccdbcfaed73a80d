"""HTML of every view: a text that looks like markup stays text, wherever a person can put it."""

from html.parser import HTMLParser

import pytest

import nbgraph as nb
from nbgraph.cli.results import Results
from nbgraph.html import Card, Html, cards_html, element, image, joined, pictures_html, table
from nbgraph.invocations import BlankImage, String
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.node_registry import Registry
from nbgraph.invocations.outputs import StringOutput
from nbgraph.progress import Progress
from nbgraph.recipes.opened import Finding, Opened, Report
from nbgraph.recipes.replay import Difference, Replayed
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph
from nbgraph.views.studio import studio_html
from nbgraph.widgets.run_static import static_bundle
from nbgraph.widgets.static_fallback import StaticFallback
from tests.tiny_models.headers import write_header

HOSTILE = "\"><planted a='b'>&amp;"


@invocation("html_fails", title=HOSTILE)
class HtmlFails(BaseInvocation):
    """Fails with the text that it is given."""

    text: str = ""

    def invoke(self, context: InvocationContext) -> StringOutput:
        raise ValueError(self.text)


class Read(HTMLParser):
    """The tags, attribute values and texts of a piece of HTML, as a browser reads them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [value or "" for _, value in attrs]

    def handle_data(self, data):
        self.texts.append(data)


def failed_run(studio):
    return studio.run(HtmlFails(id=HOSTILE, text=HOSTILE), on_error="continue", progress=False)


def cache_of(studio):
    studio.run(String(id=HOSTILE, value="a"), progress=False)
    return studio.cache._html()


def images_of(studio):
    studio.run(BlankImage(id=HOSTILE, width=8, height=8), progress=False)
    return studio.images._html()


def comparison_of(studio):
    images_of(studio)
    (name,) = studio.images.frame["image_name"]
    return studio.images.compare(name, name)._html()


def queue_of(studio):
    failed_run(studio)
    return studio.queue._html()


def graphs_of(studio):
    studio.graphs.save(Graph([String(id=HOSTILE, value=HOSTILE)]), HOSTILE)
    return studio.graphs._repr_html_()


def stats_of(studio):
    failed_run(studio)
    view = studio.stats_view()
    panel = view.widget
    html = view._html()
    panel.close()
    return html


def form_of(studio):
    graph = Graph([String(id="text", value=HOSTILE)])
    library = LibraryGraph(HOSTILE, graph, [Exposed("value", "text", "value")], [Exposed("value", "text", "value")])
    form = studio.form(library)
    html = form._html()
    form.close()
    return html


def results_of(studio):
    run = studio.run(String(id=HOSTILE, value=HOSTILE), progress=False)
    return Results({HOSTILE: run[HOSTILE]})._repr_mimebundle_()["text/html"]


def registry_of(studio):
    registry = Registry()
    registry.register(HtmlFails)
    return registry._repr_mimebundle_()["text/html"]


def studio_in_a_folder(studio):
    return studio_html(studio.services, HOSTILE)


VIEWS = {
    "cache": cache_of,
    "comparison": comparison_of,
    "form": form_of,
    "graphs": graphs_of,
    "images": images_of,
    "opened": lambda studio: Opened(Graph(), HOSTILE, Report([Finding(HOSTILE, "differs", HOSTILE)]))._repr_html_(),
    "progress": lambda studio: Progress(status="running", node=HOSTILE)._repr_html_(),
    "queue": queue_of,
    "registry": registry_of,
    "replayed": lambda studio: Replayed(None, None, [Difference("model", HOSTILE, "1", "2")], True)._repr_html_(),
    "results": results_of,
    "run": lambda studio: static_bundle(failed_run(studio))["text/html"],
    "stats": stats_of,
    "studio": studio_in_a_folder,
    "svg": lambda studio: Graph([String(id=HOSTILE, value=HOSTILE)]).show().svg,
    "sweep": lambda studio: studio.sweep(String(id="text"), {"text.value": [HOSTILE]}, progress=False)._repr_html_(),
}


def assert_shown_as_text(html):
    read = Read(html)
    assert "planted" not in read.tags
    shown = [*read.texts, *read.attributes]
    # Some views cut texts, so the start is enough. A text that was escaped twice shows its entities.
    assert any(HOSTILE[:12] in text for text in shown)
    assert not any("&lt;" in text or "&amp;amp;" in text for text in shown)


@pytest.mark.parametrize("name", VIEWS)
def test_a_hostile_text_stays_text_in_every_view(name, studio):
    assert_shown_as_text(VIEWS[name](studio))


def test_a_hostile_file_name_stays_text_in_the_view_of_models(tmp_path):
    write_header(tmp_path / f"{HOSTILE}.safetensors", {"unet.weight": [1]})
    with nb.Studio(settings=nb.Settings(model_folders=[tmp_path])) as studio:
        assert_shown_as_text(studio.models._repr_html_())


@pytest.mark.parametrize(
    "html",
    [
        element("p", HOSTILE),
        element("p", "", title=HOSTILE),
        joined([HOSTILE]),
        table([(HOSTILE,)], (HOSTILE,)),
        image(b"\x89PNG", HOSTILE),
        pictures_html([(HOSTILE, HOSTILE)], HOSTILE),
        cards_html([Card(HOSTILE, HOSTILE, HOSTILE, HOSTILE)], HOSTILE),
    ],
)
def test_every_part_of_the_writer_escapes_what_is_put_into_it(html):
    read = Read(html)
    assert "planted" not in read.tags
    assert HOSTILE in [*read.texts, *read.attributes]


def test_html_is_put_into_an_element_as_it_is_and_not_escaped_again():
    inner = element("b", "1 < 2")
    assert element("p", inner, "!") == "<p><b>1 &lt; 2</b>!</p>"
    assert isinstance(element("p", inner), Html)


def test_an_attribute_of_none_is_left_out_and_underscores_are_hyphens():
    assert element("i", class_="a", aria_label="b", title=None) == '<i class="a" aria-label="b"></i>'


def test_what_is_shown_beside_a_widget_is_escaped_unless_it_is_html():
    side = StaticFallback("x", lambda: {"text/plain": "", "text/html": element("p", HOSTILE)})
    assert Read(side._bundle()["text/html"]).tags == ["div", "p"]
    side = StaticFallback("x", lambda: {"text/plain": "", "text/html": f"<p>{HOSTILE}</p>"})
    assert Read(side._bundle()["text/html"]).tags == ["div"]
