"""Whether a value can be typed into a widget of a form; one that cannot is refused, never bent until it fits."""

from numbers import Integral, Real
from typing import Any

import ipywidgets as widgets
from traitlets import TraitError

from nbgraph.errors import suggest
from nbgraph.invocations.input_problems import short_text

WHOLE = (widgets.IntSlider, widgets.BoundedIntText)
NUMBERS = (*WHOLE, widgets.FloatSlider, widgets.BoundedFloatText)


def refusal(widget: Any, value: Any) -> str:
    """What is wrong with a value for a widget, as the end of a sentence; "" if it takes it as it is."""
    if isinstance(widget, NUMBERS):
        return _number_refusal(widget, value)
    if isinstance(widget, widgets.Dropdown):
        is_option = value is None or value in widget.options
        return "" if is_option else f"cannot be {short_text(value)}{suggest(str(value), map(str, widget.options))}"
    trait: Any = widget.traits()["value"]
    try:
        trait.validate(widget, value)
    except TraitError:
        return f"takes {trait.info_text}, not {short_text(value)}"
    return ""


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _number_refusal(widget: Any, value: Any) -> str:
    is_whole = isinstance(widget, WHOLE)
    kind: Any = Integral if is_whole else Real
    if isinstance(value, kind) and not isinstance(value, bool) and widget.min <= value <= widget.max:
        return ""
    word = "a whole number" if is_whole else "a number"
    return f"takes {word} from {widget.min} to {widget.max}, not {short_text(value)}"
