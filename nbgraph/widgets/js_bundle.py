"""The front end of all widgets: one bundle per kernel, which every widget loads through the few lines of its loader.

A widget of this package derives from `BundledWidget` and names what `js/index.ts` exports for it. So ten editors in a
notebook hold one copy of React between them, not ten. marimo gets the code with each widget: it keeps one copy by
itself, draws in shadow roots, which no style of the page reaches, and one process serves many pages.
"""

import gzip
import sys
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import traitlets
from ipywidgets import Widget  # pyright: ignore[reportMissingTypeStubs] - it is not annotated

STATIC = Path(__file__).parent / "static"
MISSING = (
    "The front end of the nbgraph widgets was not built: {path} is missing. "
    "Install the package again with access to the npm registry (pip install -e .), or run "
    "`npm ci && npm run build` in nbgraph/widgets/js. Everything else of nbgraph works without it."
)
LOADER = """
const modules = (globalThis.__nbgraphModules ??= new Map());

async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Blob([await new Response(stream).arrayBuffer()], { type: "text/javascript" });
}

async function load(model) {
  const bundle = await model.widget_manager.get_model(model.get("_bundle"));
  if (bundle.get("problem")) throw new Error(bundle.get("problem"));
  const digest = bundle.get("digest");
  if (!modules.has(digest)) {
    const style = document.createElement("style");
    style.textContent = bundle.get("css");
    document.head.append(style);
    modules.set(digest, unpack(bundle.get("code")).then((code) => import(URL.createObjectURL(code))));
  }
  return (await modules.get(digest)).widgets[model.get("_widget")];
}

const styleId = (model) => `nbgraph-hides-${model.get("_id")}`;

function hideStaticFallback(model) {
  const style = document.createElement("style");
  style.id = styleId(model);
  style.textContent = `.nbgraph-static-${CSS.escape(model.get("_id"))} { display: none }`;
  document.head.append(style);
  return () => style.remove();
}

export default {
  initialize({ model }) {
    const show = hideStaticFallback(model);
    // A widget that works without a view begins as soon as the page knows it.
    const started = model.get("_starts") ? load(model).then((widget) => widget.start(model)) : undefined;
    return () => {
      show();
      started?.then((end) => end());
    };
  },
  async render({ model, el }) {
    try {
      return (await load(model)).render({ model, el });
    } catch (error) {
      document.getElementById(styleId(model))?.remove();
      el.textContent = String(error?.message ?? error);
      el.setAttribute("role", "alert");
    }
  },
};
"""


class Bundle(Widget):
    """The code (gzip, base64: saved notebooks hold it) and style of all widgets, once for each kernel.

    `problem` says what is missing if there are none.
    """

    code = traitlets.Unicode().tag(sync=True)
    css = traitlets.Unicode().tag(sync=True)
    digest = traitlets.Unicode().tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)


class BundledWidget(anywidget.AnyWidget):
    """A widget whose front end is `widgets[name]` of the bundle; subclasses say `_widget = Unicode(name)`.

    While it lives on a page, it hides elements of the class `nbgraph-static-ID` (its `model_id`) before they are drawn;
    they are what is shown in its place where there is no kernel, or no front end.
    """

    _esm = LOADER
    _css = ""
    _id = traitlets.Unicode().tag(sync=True)
    _bundle = traitlets.Unicode().tag(sync=True)
    _widget = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: object) -> None:
        # Chosen here, because the loader needs the id before ipywidgets has made one.
        own = uuid4().hex
        code, css = built() if is_in_marimo() else ("", "")
        front_end = {"_esm": code, "_css": css} if code else {"_bundle": bundle_id()}
        super().__init__(_id=own, model_id=own, **front_end, **traits)

    def close(self) -> None:
        """Close the widget and its layout, which ipywidgets would keep."""
        own: Any = self  # ipywidgets is not annotated
        # Python closes a widget that it collects, also one whose construction was interrupted: that one has no comm,
        # and to ask for its layout would make one.
        if own.comm is None:
            return
        layout = own.layout
        super().close()
        layout.close()

    def page_bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live widget as an output, by media type, and the metadata of the output."""
        own: Any = super()
        return own._repr_mimebundle_() or ({}, {})


def is_in_marimo() -> bool:
    """Return whether a cell of a marimo notebook runs this."""
    marimo = sys.modules.get("marimo")
    return marimo is not None and marimo.running_in_notebook()


def bundle_id() -> str:
    """Return the model id of this kernel's bundle, which is made when first needed."""
    bundle = _bundle()
    if bundle.comm is None:  # something closed all widgets
        _bundle.cache_clear()
        bundle = _bundle()
    return str(bundle.model_id)


@cache
def built() -> tuple[str, str]:
    """Return code and style of all widgets; both are empty if they were not built."""
    code, css = STATIC / "widgets.js", STATIC / "widgets.css"
    return (code.read_text(encoding="utf-8"), css.read_text(encoding="utf-8")) if code.is_file() else ("", "")


@cache
def _bundle() -> Bundle:
    text, style = built()
    if not text:
        return Bundle(problem=MISSING.format(path=STATIC / "widgets.js"), digest="none")
    # Without the time in its header, the same build gives the same bytes, and saved notebooks do not change.
    packed = b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    return Bundle(code=packed, css=style, digest=sha256((text + style).encode()).hexdigest()[:16])
