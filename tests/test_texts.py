"""Texts for people: of any origin, made fit for one line; seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbgraph.texts import one_line, seconds_text, shorten, value_text


@given(st.text(max_size=60), st.integers(3, 40))
def test_a_shortened_text_is_the_text_or_its_start_within_the_limit(text, limit):
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short == text if len(text) <= limit else text.startswith(short.removesuffix("..."))


def test_a_value_that_python_cannot_show_is_named_by_its_type():
    class Broken:
        def __repr__(self):
            raise RuntimeError("no text")

    assert value_text(Broken()) == "a Broken (it cannot be shown as text)"
    assert value_text("x" * 100, 10) == "'xxxxxx..."


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\nb", "a; b"), ("two problems\n  a: x\n  b: y", "two problems; a: x; b: y"), ("red\x1b[2J", "red\\x1b[2J")],
)
def test_several_lines_become_one_that_cannot_move_a_cursor(text, line):
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0000851, "85 µs"),
        (0.0123, "12 ms"),
        (1.26, "1.3 s"),
        (125.2, "2 min 5 s"),
        (0.0009996, "1 ms"),
        (0.9996, "1.0 s"),
        (59.96, "1 min 0 s"),
        (119.7, "2 min 0 s"),
    ],
)
def test_seconds_have_the_digits_that_matter(seconds, shown):
    assert seconds_text(seconds) == shown
