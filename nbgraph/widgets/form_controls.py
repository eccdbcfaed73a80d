"""The controls of a form: an ipywidget for each kind of input, and the check whether it takes a value."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any

import ipywidgets as widgets  # pyright: ignore[reportMissingTypeStubs] - it is not annotated
from traitlets import TraitError

from nbgraph.errors import suggest
from nbgraph.invocations.fields import DRAWN_MAX, SEED_MAX
from nbgraph.texts import value_text

MISSING = object()
"""The value of an input without one."""
LARGEST = 2**53
"""The largest integer that a page holds exactly."""
LONGEST = 40
"""The most digits of a seed that are read."""
LABEL = {"description_width": "initial"}
FULL = {"width": "auto", "margin": "0"}
WIDE = "nbgraph-wide"
"""The class of a control that takes both columns of a form; js/form.css has the looks of all."""
SPANS = {"steps": (1, 60, 20), "cfg_scale": (0, 20, 4)}
"""The ranges that sliders cover of inputs whose limits are much wider, as the canvas has them, and where they begin."""
MAX_SPAN = 4096
"""The widest limits between which a slider is of use."""
WHOLE = (widgets.IntSlider, widgets.BoundedIntText)
NUMBERS = (*WHOLE, widgets.FloatSlider, widgets.BoundedFloatText)


class Control:
    """One input of a form: `widget` is shown, `value` is its value or `MISSING`."""

    def __init__(self, widget: Any) -> None:
        self.widget = widget

    @property
    def value(self) -> Any:
        return self.widget.value

    @value.setter
    def value(self, value: Any) -> None:
        self.widget.value = value

    def refusal(self, value: Any) -> str:
        """Return why the input does not take a value, as the end of a sentence; empty if it does."""
        return refusal(self.widget, value)

    @property
    def parts(self) -> list[Any]:
        """All widgets of the control."""
        return [self.widget]


class RangedNumber(Control):
    """A number with a slider over the range that people use; beside it any value within the limits can be typed."""

    def __init__(self, slider: Any, number: Any) -> None:
        self.slider, self.number = slider, number
        # Not a link: a slider moves what lies outside its range to its end, and the number must stay as it was typed.
        slider.observe(self._slid, "value")
        number.observe(self._typed, "value")
        self._typed()
        box: Any = widgets.HBox([slider, number], layout=FULL)
        box.add_class("nbgraph-ranged")
        super().__init__(box)

    @property
    def value(self) -> Any:
        return self.number.value

    @value.setter
    def value(self, value: Any) -> None:
        self.number.value = value

    def refusal(self, value: Any) -> str:
        return refusal(self.number, value)

    @property
    def parts(self) -> list[Any]:
        return [self.slider, self.number, self.widget]

    @property
    def _within(self) -> Any:
        return min(self.slider.max, max(self.slider.min, self.number.value))

    def _typed(self, _: Any = None) -> None:
        self.slider.value = self._within

    def _slid(self, _: Any) -> None:
        if self.slider.value != self._within:
            self.number.value = self.slider.value


class OptionalNumber(Control):
    """A number that may be None, which a checkbox beside it says."""

    def __init__(self, inner: Control, value: Any, word: str, beside: Sequence[Any] = ()) -> None:
        self.inner, self.beside = inner, beside
        self.number = inner.number if isinstance(inner, RangedNumber) else inner.widget
        self.open = widgets.Checkbox(value=value is None, description=word, indent=False, layout=FULL)
        self.open.observe(self._opened, "value")
        self._opened()
        box: Any = widgets.HBox([inner.widget, *beside, self.open], layout=FULL)
        box.add_class("nbgraph-beside")
        super().__init__(box)

    @property
    def value(self) -> Any:
        return None if self.open.value else self.inner.value

    @value.setter
    def value(self, value: Any) -> None:
        self.open.value = value is None
        if value is not None:
            self.inner.value = value

    def refusal(self, value: Any) -> str:
        return "" if value is None else self.inner.refusal(value)

    @property
    def parts(self) -> list[Any]:
        return [*self.inner.parts, *self.beside, self.open, self.widget]

    def _opened(self, _: Any = None) -> None:
        # Disabled rather than hidden: the last number is there again when the box is cleared.
        for part in self.inner.parts:
            if "disabled" in part.traits():
                part.disabled = self.open.value


class SeedControl(OptionalNumber):
    """A seed with a die. It is a text field, because a number field of a page rounds integers above 2**53."""

    def __init__(self, box: widgets.Text, value: int | None, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.die: Any = widgets.Button(icon="dice", tooltip="another seed", layout={"width": "32px"})
        self.die.on_click(self._roll)
        super().__init__(Control(box), value, "random", [self.die])

    @property
    def value(self) -> int | None:
        if self.open.value:
            return None
        text = self.number.value.strip()
        given: Any = int(text) if text.isdecimal() and len(text) <= LONGEST else text
        if why_not := self.refusal(given):
            raise ValueError(f"{self.number.description}: {why_not}")
        return given

    @value.setter
    def value(self, value: int | None) -> None:
        self.open.value = value is None
        if value is not None:
            self.number.value = str(value)

    def refusal(self, value: Any) -> str:
        if value is None or (is_whole(value) and self.low <= value <= self.high):
            return ""
        return f"takes a whole number from {self.low} to {self.high}, not {value_text(value)}"

    def _roll(self, _: Any) -> None:
        # Drawn seeds stay small enough to be typed again; a person may type larger ones.
        self.value = random.randrange(self.low, min(self.high, DRAWN_MAX) + 1)


class ListControl(Control):
    """A list of plain values as JSON: `[1, 2]`; where it may be left out, nothing is None and `[]` an empty list."""

    def __init__(self, value: Any, optional: bool, **common: Any) -> None:
        self.optional = optional
        super().__init__(wide(widgets.Text(value=self._text(value), **common)))

    @property
    def value(self) -> Any:
        text = self.widget.value.strip()
        if self.optional and not text:
            return None
        try:
            # People type "1, 2" as often as "[1, 2]".
            return json.loads(text if text.startswith("[") else f"[{text}]")
        except ValueError:
            raise ValueError(f"{self.widget.description}: {text!r} is not a list; write [1, 2, 3]") from None

    @value.setter
    def value(self, value: Any) -> None:
        self.widget.value = self._text(value)

    def _text(self, value: Any) -> str:
        return "" if value is None and self.optional else json.dumps(list(value or []))

    def refusal(self, value: Any) -> str:
        if self.optional and value is None:
            return ""
        try:
            items: list[Any] = list(value)
            json.dumps(items)
            is_list = not isinstance(value, str)
        except (TypeError, ValueError):
            is_list = False
        return "" if is_list else f"takes a list of plain values, such as [1, 2, 3], not {value_text(value)}"


class LinkedInside(Control):
    """An input that is linked inside a library graph. A checkbox keeps the link; without it the control is shown."""

    def __init__(self, control: Control, label: str) -> None:
        self.control = control
        self.linked = widgets.Checkbox(value=True, description=f"{label}: linked inside", indent=False, layout=FULL)
        self.linked.observe(self._show, "value")
        self._show()
        super().__init__(wide(widgets.VBox([self.linked, control.widget], layout=FULL)))

    @property
    def value(self) -> Any:
        return MISSING if self.linked.value else self.control.value

    @value.setter
    def value(self, value: Any) -> None:
        # None means the link, which a library graph takes for an input that is linked inside.
        self.linked.value = value is None
        if value is not None:
            self.control.value = value

    def refusal(self, value: Any) -> str:
        return "" if value is None else self.control.refusal(value)

    @property
    def parts(self) -> list[Any]:
        return [self.linked, *self.control.parts, self.widget]

    def _show(self, _: Any = None) -> None:
        self.control.widget.layout.display = "none" if self.linked.value else None


def control_for(shown: Mapping[str, Any], label: str, value: Any, models: Callable[[], list[str]]) -> Control | None:
    """Return the control of an input that is typed or chosen, or None if nothing can be typed there.

    Parameters
    ----------
    shown
        The input as `schema.node_type` describes it.
    label
        The text beside the control.
    value
        The first value.
    models
        Returns the names of models to suggest.
    """
    kind = shown["control"]
    common: dict[str, Any] = {"description": label, "style": LABEL, "layout": FULL}
    if shown.get("description"):
        common["tooltip"] = shown["description"]
    if kind in ("int", "float", "seed"):
        return _number(shown, kind, value, common)
    if kind == "bool":
        return Control(widgets.Checkbox(value=bool(value), indent=False, **common))
    if kind == "choice":
        return Control(widgets.Dropdown(options=_with(shown["choices"], value), value=value, **common))
    if kind == "model":
        # Names are suggested, and the path of any file may be typed; a wrong one is named before the run.
        text = "" if value is None else str(value)
        return Control(widgets.Combobox(options=models(), value=text, **common))
    if kind == "text":
        # The description is that of every prompt, whatever it is used for.
        hint = "What the image should not show" if "negative" in label.lower() else shown.get("description", "")
        return Control(wide(widgets.Textarea(value=value or "", rows=3, placeholder=hint, **common)))
    if kind == "list":
        return ListControl(value, bool(shown.get("optional")), **common)
    if kind == "colour":
        return Control(widgets.ColorPicker(value=value or "black", **common))
    return Control(widgets.Text(value="" if value is None else str(value), **common)) if kind == "line" else None


def _number(shown: Mapping[str, Any], kind: str, value: Any, common: dict[str, Any]) -> Control:
    whole = kind != "float"
    if kind == "seed" and shown.get("optional"):
        text = widgets.Text(value=str(value or 0), **common)
        return SeedControl(text, value, shown.get("min", 0), shown.get("max", SEED_MAX))
    # A page has no limits without their end: "above 0" is from the smallest step on.
    small = 1 if whole else 1e-6
    low = shown.get("min", shown["above"] + small if "above" in shown else None)
    high = shown.get("max", shown["below"] - small if "below" in shown else None)
    limited = low is not None and high is not None
    span = high - low if low is not None and high is not None else LARGEST
    step = shown.get("step") or (1 if whole else 0.05 if span <= 2 else 0.5)
    usual = SPANS.get(shown["name"]) if kind != "seed" else None
    first = value if value is not None else shown.get("default")
    other = usual[2] if usual else max(low or 0, min(512 if whole and kind == "int" else 0, high or LARGEST))
    start = first if first is not None else other
    limits = {"min": -LARGEST if low is None else low, "max": LARGEST if high is None else high}
    slider = partial(widgets.IntSlider if whole else widgets.FloatSlider, step=step, continuous_update=False, **common)
    box = partial(widgets.BoundedIntText if whole else widgets.BoundedFloatText, step=step, **limits, **common)
    optional = bool(shown.get("optional"))
    # A slider needs two ends and a few values between; a seed has too many, an optional value must be typed.
    if limited and kind != "seed" and not usual and not optional and span <= MAX_SPAN:
        return Control(slider(value=start, min=low, max=high))
    if usual:
        ends = {"min": max(usual[0], limits["min"]), "max": min(usual[1], limits["max"])}
        control = RangedNumber(slider(**ends, readout=False), box(value=start))
    else:
        control = Control(box(value=start))
    return OptionalNumber(control, value, "auto") if optional else control


def wide(widget: Any) -> Any:
    """Let a widget take both columns of a form; return it."""
    widget.add_class(WIDE)
    return widget


def _with(options: list[Any], value: Any) -> list[Any]:
    """Return the options, with the present value if it is none of them, as a model that was deleted."""
    return [*options] if value in options or value is None else [*options, value]


def refusal(widget: Any, value: Any) -> str:
    """Return why a widget does not take a value, as the end of a sentence; empty if it does.

    ipywidgets corrects some values silently: a slider moves a value outside to its end.
    """
    if isinstance(widget, NUMBERS):
        return _number_refusal(widget, value)
    if isinstance(widget, widgets.Dropdown):
        is_option = value is None or value in widget.options
        return "" if is_option else f"cannot be {value_text(value)}{suggest(str(value), map(str, widget.options))}"
    trait: Any = widget.traits()["value"]
    try:
        trait.validate(widget, value)
    except TraitError:
        return f"takes {trait.info_text}, not {value_text(value)}"
    return ""


def is_whole(value: Any) -> bool:
    """Return whether a value is an integer; True and False are not."""
    return not isinstance(value, bool) and isinstance(value, Integral)


def _number_refusal(widget: Any, value: Any) -> str:
    is_whole = isinstance(widget, WHOLE)
    kind: Any = Integral if is_whole else Real
    if isinstance(value, kind) and not isinstance(value, bool) and widget.min <= value <= widget.max:
        return ""
    word = "a whole number" if is_whole else "a number"
    return f"takes {word} from {widget.min} to {widget.max}, not {value_text(value)}"
