"""A form for people who do not want to see the graph: its inputs, Run, Cancel and the image."""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Thread
from typing import Any, cast

import ipywidgets as widgets  # pyright: ignore[reportMissingTypeStubs] - it is not annotated

from nbgraph.errors import NotFoundError, Problems, suggest
from nbgraph.html import SOFT, Html, element, joined, panel, table
from nbgraph.invocations.inputs import InputSpec
from nbgraph.notebook import is_in_notebook, put_out
from nbgraph.run import Run
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph, is_linked_inside
from nbgraph.services.shared.interrupts import defer_interrupt
from nbgraph.widgets.form_controls import MISSING, Control, LinkedInside, control_for
from nbgraph.widgets.form_pictures import image_control, join_images
from nbgraph.widgets.kernel_banner import PANEL, KernelBanner
from nbgraph.widgets.rpc import skip_cell_events
from nbgraph.widgets.run_static import static_bundle
from nbgraph.widgets.run_view import RunView
from nbgraph.widgets.schema import node_type
from nbgraph.widgets.static_fallback import StaticFallback

Submit = Callable[[Graph], Run]
LABELS = {"cfg_scale": "Guidance"}
"""What the canvas calls inputs by another word than their name."""


class GraphForm(widgets.VBox):
    """A form: `form.values` are the typed values by name, `form.run()` does what the button does.

    Errors are shown under the form. Runs go to the studio's worker thread, so the form works under Voila too.
    """

    def __init__(self, target: LibraryGraph | Graph, services: InvocationServices, submit: Submit) -> None:
        self._graph = target.graph if isinstance(target, LibraryGraph) else target
        self._exposed = exposed_inputs(target)
        self._submit, self._current = submit, None
        self._view = RunView(compact=True)
        self._static = StaticFallback(self._view.model_id, self._static_bundle)
        self._labels: dict[str, str] = {}
        self._controls = self._make_controls(services)
        self._title = target.name if isinstance(target, LibraryGraph) else "graph"
        self._run_button: Any = widgets.Button(description="Run", button_style="primary", icon="play", tooltip="Run")
        self._cancel_button: Any = widgets.Button(description="Cancel", icon="stop", tooltip="Cancel", disabled=True)
        self._run_button.on_click(self._run_clicked)
        self._cancel_button.on_click(self._cancel_clicked)
        named = isinstance(target, LibraryGraph)
        self._banner = KernelBanner(f"studio.form({json.dumps(target.name, ensure_ascii=False)})" if named else "")
        box: Any = super()
        box.__init__([self._banner, *self._parts(target)])
        for name in (PANEL, "nbp", "nbgraph-form"):
            box.add_class(name)
        typed = [part for control in self._controls.values() for part in control.parts]
        skip_cell_events(self._run_button, self._cancel_button, *typed)

    @property
    def values(self) -> dict[str, Any]:
        """The typed values by name; inputs without one are left out. Assigned values are shown.

        Raises
        ------
        NotFoundError
            The form has no input of a name.
        GraphError
            An input does not take its value; all such values are named, and nothing is set.
        """
        found = {name: control.value for name, control in self._controls.items()}
        return {name: value for name, value in found.items() if value is not MISSING}

    @values.setter
    def values(self, values: Mapping[str, Any]) -> None:
        for name in values:
            if name not in self._controls:
                raise NotFoundError(f"the form has no input {name!r}{suggest(name, self._controls)}")
        # All values are checked before one is set: a form that took half of them would run with a mixture.
        problems = Problems()
        for name, value in values.items():
            if reason := self._controls[name].refusal(value):
                problems.add("bad_value", reason, name)
        problems.raise_any()
        for name, value in values.items():
            self._controls[name].value = value

    def run(self) -> Run:
        """Queue a run with the typed values and return at once; the form shows its progress and the image.

        Raises
        ------
        ValueError
            A typed value cannot be read, as a list that is not JSON.
        GraphError
            The graph cannot run with the values.
        """
        ends = {one.alias: f"{one.node}.{one.field}" for one in self._exposed}
        values = {ends[name]: value for name, value in self.values.items()}
        # Stop between submitting and showing would leave a run that the form does not know.
        with defer_interrupt():
            run = self._submit(self._graph.with_values(values))
            self._current = run
            self._view.watch(run)
            self._run_button.disabled, self._cancel_button.disabled = True, False
            self._static.changed()
            Thread(target=self._follow, args=(run,), name="nbgraph form", daemon=True).start()
        return run

    def cancel(self) -> None:
        """Cancel the run of the form, if there is one."""
        if self._current is not None:
            self._current.cancel()

    def close(self) -> None:
        """Close the form, the widgets in it, and cancel its run."""
        # Python closes a form that it collects, also one whose construction was interrupted.
        if self.comm is None:
            return
        box: Any = super()
        layout = box.layout
        box.close()
        layout.close()
        self.cancel()
        self._static.close()
        parts = [part for control in self._controls.values() for part in control.parts]
        close_widgets([*parts, self._run_button, self._cancel_button, *self._boxes])
        self._view.close()
        self._banner.close()

    def __repr__(self) -> str:
        return f"GraphForm({self._title!r}: {', '.join(self._controls)})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        box: Any = super()
        bundle: Any = box._repr_mimebundle_(**kwargs) or {}
        data, metadata = cast("tuple[Any, Any]", bundle if isinstance(bundle, tuple) else (bundle, {}))
        # Beside the widget, for a notebook that is opened without its kernel.
        return {**data, **self._static_bundle()}, metadata

    def _ipython_display_(self) -> None:
        if not is_in_notebook():
            raise NotImplementedError
        box: Any = super()
        put_out({**box._repr_mimebundle_(), "text/plain": repr(self)})
        self._static.show()

    def _static_bundle(self) -> dict[str, str]:
        """Return the form for a reader without a kernel; it is made again when a run begins and ends."""
        return {"text/plain": repr(self), "text/html": self._html()}

    def _html(self) -> Html:
        rows = [(element("span", self._labels[name], style=SOFT), _shown(value)) for name, value in self.values.items()]
        result = static_bundle(self._current)["text/html"] if self._current is not None else ""
        return panel(self._title[:1].upper() + self._title[1:], table(rows), result)

    def _make_controls(self, services: InvocationServices) -> dict[str, Control]:
        found: dict[str, Control] = {}
        for one in self._exposed:
            node = self._graph.nodes[one.node]
            (shown,) = [each for each in node_type(type(node))["inputs"] if each["name"] == one.field]
            # A typed value before the default: the form begins where the graph is.
            value = node.literals().get(one.field, shown.get("default"))
            label = self._labels[one.alias] = label_of(one, node.inputs()[one.field])
            control = (
                image_control(shown, label, value, services, self._with_errors_shown)
                if shown["control"] == "image"
                else control_for(shown, label, value, services.model_manager.names)
            )
            if control is not None:
                found[one.alias] = LinkedInside(control, label) if is_linked_inside(self._graph, one) else control
        join_images(found)
        return found

    def _parts(self, target: LibraryGraph | Graph) -> list[Any]:
        description = target.description if isinstance(target, LibraryGraph) else ""
        title = widgets.HTML(
            joined([element("b", self._title[:1].upper() + self._title[1:]), element("span", description)], " ")
        )
        buttons = widgets.HBox([self._run_button, self._cancel_button])
        # What to draw is typed first, so long texts stand above everything else.
        controls = sorted(
            (control.widget for control in self._controls.values()),
            key=lambda control: not isinstance(control, widgets.Textarea),
        )
        left = widgets.VBox([*controls, buttons])
        right = widgets.VBox([self._view])
        body = widgets.HBox([left, right])
        named: dict[str, Any] = {"title": title, "buttons": buttons, "inputs": left, "result": right, "body": body}
        for name, part in named.items():
            part.add_class(f"nbgraph-form-{name}")
        self._boxes = list(named.values())
        return [title, body]

    def _follow(self, run: Run) -> None:
        run.wait(show=lambda _: self._view.refresh() if self._current is run else None)
        # Another run may have begun from Python meanwhile; its thread enables the button.
        if self._current is run:
            self._run_button.disabled, self._cancel_button.disabled = False, True
            self._static.changed()

    def _run_clicked(self, _: Any) -> None:
        self._with_errors_shown(self.run)

    def _cancel_clicked(self, _: Any) -> None:
        self._with_errors_shown(self.cancel)

    def _with_errors_shown(self, act: Callable[[], Any]) -> None:
        """Perform the action of a click; show its error under the form, where the person looks."""
        try:
            act()
        except Exception as error:
            self._view.say(str(error) or type(error).__name__)


def _shown(value: Any) -> str:
    return "auto" if value is None else str(value)


def label_of(exposed: Exposed, spec: InputSpec) -> str:
    """Return the label of an input of a form: as on the canvas, unless it is exposed under a name of its own."""
    if exposed.alias == exposed.field:
        return LABELS.get(exposed.field, spec.label)
    # ids of nodes tell upper and lower case apart
    if exposed.alias == f"{exposed.node}.{exposed.field}":
        return exposed.alias
    words = exposed.alias.replace("_", " ")
    return words[:1].upper() + words[1:]


def exposed_inputs(target: LibraryGraph | Graph) -> list[Exposed]:
    """Return the inputs of a form: those a library graph exposes; of another graph, all that are not linked."""
    if isinstance(target, LibraryGraph):
        return list(target.inputs)
    return [
        Exposed(f"{node_id}.{field}", node_id, field)
        for node_id, node in target.nodes.items()
        for field in node.inputs()
        if not any(link.field == field for link in target.links(node_id))
    ]


def close_widgets(parts: Iterable[Any]) -> None:
    """Close widgets with their layouts and styles, which ipywidgets would keep."""
    for part in parts:
        for held in (getattr(part, "style", None), getattr(part, "layout", None), part):
            with suppress(AttributeError):
                held.close()  # type: ignore[union-attr]
