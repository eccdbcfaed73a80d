"""Lines as words, stages and options, whatever is typed."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbgraph.grammar.lexer import GrammarError, quote
from nbgraph.grammar.parser import logical_lines, parse_line
from nbgraph.texts import one_line

texts = st.text(max_size=40)


@given(texts)
def test_a_quoted_text_is_read_back_as_one_word(text):
    (stage,) = parse_line(f"prompt --text {quote(text)}")
    (word,) = stage.options[0].values
    assert word.text == text


@given(st.lists(texts, min_size=1, max_size=5))
def test_quoted_words_never_become_options_pipes_or_other_words(words):
    (stage,) = parse_line(" ".join(["node", "--field", *(quote(word, always=True) for word in words)]))
    assert [word.text for word in stage.options[0].values] == words
    assert all(word.is_quoted for word in stage.options[0].values)


@given(texts)
def test_a_printed_word_holds_no_line_break(text):
    assert len(quote(text).splitlines()) <= 1


def error_of(line):
    """The error a line raises if it is refused; anything but a grammar error goes through."""
    try:
        parse_line(line)
    except GrammarError as error:
        return error
    return None


@given(st.binary(max_size=200))
@example(b"a | | b")
@example(b"'")
@example(b"\\")
@example(b"$'\\U00110000'")
@example(b"a --")
def test_random_bytes_raise_nothing_but_the_errors_of_the_grammar(data):
    line = data.decode("utf-8", errors="surrogateescape")
    error = error_of(line)
    assert error is None or (1 <= error.column <= len(line) + 1 and len(str(error).splitlines()) == 1)


@given(st.text(alphabet="ab|'\"\\$ -=\n\t", max_size=30))
def test_texts_of_quotes_and_pipes_raise_nothing_but_the_errors_of_the_grammar(line):
    error = error_of(line)
    assert error is None or 1 <= error.column <= len(line) + 1


@given(texts)
def test_a_message_is_one_line_without_control_characters(text):
    assert all(character.isprintable() for character in one_line(text))


def test_a_pipe_in_quotes_does_not_split_the_line():
    stages = parse_line("""prompt --text "a | b" | prompt --text 'c|d'|show""")
    assert [stage.name.text for stage in stages] == ["prompt", "prompt", "show"]
    assert stages[0].options[0].values[0].text == "a | b"


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ('prompt --text "never', 15, "never closed"),
        ("prompt --text 'never", 15, "never closed"),
        ("prompt --text $'never", 15, "never closed"),
        ("| add", 1, "no stage on one side"),
        ("add |", 5, "no stage on one side"),
        ("add | | mul", 7, "no stage on one side"),
        ("add --a 1 \\", 11, "backslash"),
        ("--a 1", 1, "begins with"),
        ("add --a $'\\q'", 11, "escape"),
    ],
)
def test_what_is_no_line_is_told_with_its_place(line, column, words):
    with pytest.raises(GrammarError, match=words) as raised:
        parse_line(line)
    assert raised.value.column == column
    assert str(raised.value).startswith(f"column {column}: ")


def test_negative_numbers_are_values_and_short_options_are_options():
    (stage,) = parse_line("mul -l -2 value a -ln -1 --b -5")
    assert [(option.name, [word.text for word in option.values]) for option in stage.options] == [
        ("link", ["-2", "value", "a"]),
        ("link_node", ["-1"]),
        ("b", ["-5"]),
    ]


def test_an_option_may_carry_its_value_after_an_equals_sign():
    (stage,) = parse_line("prompt --text=--x --other='a = b'")
    assert [option.values[0].text for option in stage.options] == ["--x", "a = b"]


def test_lines_go_on_after_a_pipe_or_a_backslash_and_comments_are_left_out():
    text = ["# a script", "", "add --a 1 |", "  mul", "sub \\", " --a 3", "prompt --text 'a |'"]
    assert list(logical_lines(text)) == [(3, "add --a 1 |   mul"), (5, "sub   --a 3"), (7, "prompt --text 'a |'")]
