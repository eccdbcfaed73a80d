"""The card of a studio in a cell: what it keeps, where, and the calls that show it or make more."""

from os import PathLike
from os.path import basename

from nbgraph.html import SOFT, Html, element, noted, table
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.texts import shorten, size_text
from nbgraph.views.graphs import count

MAKES = (
    ("draw a graph by mouse", "studio.edit()"),
    ("fill in a form", 'studio.form("text to image")'),
    ("run a graph of Python", 'studio.run(nb.text_to_image("a red apple"))'),
    ("compare values", "studio.sweep(graph, {...})"),
)
"""What a person can do with a studio that is empty, and the calls for it."""
LONGEST_NAMES = 60


def studio_html(services: InvocationServices, folder: str | PathLike[str] | None) -> Html:
    """Return a card: the folder, the numbers of what is kept with the call that shows each, and how to make more."""
    where = "in memory, until the kernel ends" if folder is None else f"in the folder {folder}"
    rows = [(what, amount, _code(call)) for what, amount, call in _kept(services)]
    ways = [(what, _code(call)) for what, call in MAKES]
    return noted(
        f"Studio({where})",
        table(rows, ["What", "Kept", "To see it"]),
        element("div", "To make something", style=f"{SOFT};margin:10px 0 2px"),
        table(ways),
    )


def _kept(services: InvocationServices) -> list[tuple[str, str, str]]:
    """Return what is kept, how much of it, and the call that shows it."""
    components = services.model_manager.loaded()
    names = shorten(", ".join(dict.fromkeys(basename(each.model) for each in components)), LONGEST_NAMES)
    loaded = f"{names}, {size_text(sum(each.bytes for each in components))}" if components else "none"
    cached, runs = services.invocation_cache.status().size, services.queue.rows()
    active = sum(row.status in ("pending", "in_progress") for row in runs)
    return [
        ("Pictures", f"{services.images.list(per_page=1).total:,}", "studio.images"),
        ("Runs", f"{len(runs):,}{f', {active} of them waiting or running' if active else ''}", "studio.queue"),
        ("Drawings", f"{len(services.graph_documents.rows()):,}", "studio.graphs"),
        ("Cached results", f"{cached:,}", "studio.cache"),
        ("Loaded models", loaded, "studio.loaded_models"),
        ("Models to choose from", count(len(services.model_manager.rows()), "name"), "studio.models"),
    ]


def _code(call: str) -> Html:
    return element("code", call, style="background:none;padding:0;color:inherit;white-space:nowrap")
