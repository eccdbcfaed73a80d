"""Texts: split, joined, replaced; templates and files of prompts; colours."""

import pytest

from nbgraph.errors import GraphError, NodeError
from nbgraph.invocations import (
    Color,
    Conditioning,
    DynamicPrompt,
    Iterate,
    JoinStrings,
    JoinThreeStrings,
    Latents,
    PromptsFromFile,
    ReplaceString,
    SplitPrompt,
    SplitString,
    String,
    strings,
)
from nbgraph.invocations.fields import ColorField, ConditioningField

NOTHING = None


def test_texts_are_joined():
    assert JoinStrings(string_left="a", string_right="b").invoke(NOTHING).value == "ab"
    joined = JoinThreeStrings(string_left="a", string_middle=" ", string_right="b")
    assert joined.invoke(NOTHING).value == "a b"


@pytest.mark.parametrize(
    ("text", "delimiter", "parts"),
    [("a|b|c", "|", ("a", "b|c")), ("abc", "|", ("abc", "")), ("abc", "", ("abc", "")), ("a--b", "--", ("a", "b"))],
)
def test_a_text_is_split_at_the_first_delimiter(text, delimiter, parts):
    found = SplitString(string=text, delimiter=delimiter).invoke(NOTHING)
    assert (found.string_1, found.string_2) == parts


@pytest.mark.parametrize(
    ("text", "positive", "negative"),
    [
        ("a cat [blurry] on a mat [grey]", "a cat on a mat", "blurry grey"),
        (r"a \[red\] cat [dog]", "a [red] cat", "dog"),
        (r"a \(red\) cat", r"a \(red\) cat", ""),
        ("", "", ""),
        ("[only this]", "", "only this"),
    ],
)
def test_brackets_make_the_negative_prompt(text, positive, negative):
    found = SplitPrompt(string=text).invoke(NOTHING)
    assert (found.positive_string, found.negative_string) == (positive, negative)


@pytest.mark.parametrize("text", ["a [b", "a ] b", "a [b [c] d]"])
def test_brackets_that_do_not_match_are_refused_before_the_run(studio, text):
    with pytest.raises(GraphError, match=r"string_split_neg\.string: has .*write \\"):
        studio.run(SplitPrompt(string=text), progress=False)


def test_plain_and_regular_replacing(result):
    assert result(ReplaceString(string="a.c abc", search_string="a.c", replace_string="x")).value == "x abc"
    caught = ReplaceString(string="2 cats", search_string=r"(\d) (\w+)", replace_string=r"\2 \1", use_regex=True)
    assert result(caught).value == "cats 2"


def test_a_bad_pattern_is_refused_before_the_run(studio):
    with pytest.raises(GraphError, match=r"string_replace\.search_string: is not a regular expression"):
        studio.run(ReplaceString(string="a", search_string="(", use_regex=True), progress=False)
    with pytest.raises(GraphError, match="search_string"):
        ReplaceString(string="a", search_string="")


def test_a_pattern_that_would_take_forever_is_stopped(studio, monkeypatch):
    monkeypatch.setattr(strings, "REGEX_SECONDS", 0.1)
    bad = ReplaceString(string=String(value="a" * 40 + "b"), search_string=r"(a|aa|a?)+$", use_regex=True)
    with pytest.raises((NodeError, GraphError), match=r"took more than 0\.1 s"):
        studio.run(bad, progress=False)


def test_a_bad_replacement_is_an_error(studio):
    bad = ReplaceString(string="a", search_string="a", replace_string=r"\9", use_regex=True)
    with pytest.raises((NodeError, GraphError), match="is not a regular expression"):
        studio.run(bad, progress=False)


def test_all_combinations_come_in_order_up_to_the_limit(result):
    template = "{a|b} {c|d}"
    everything = result(DynamicPrompt(prompt=template, combinatorial=True, max_prompts=10)).collection
    assert everything == ["a c", "a d", "b c", "b d"]
    assert result(DynamicPrompt(prompt=template, combinatorial=True, max_prompts=3)).collection == everything[:3]


def test_a_huge_template_is_cut_off_at_once(result):
    template = "{1|2|3|4|5|6|7|8|9} " * 20
    assert len(result(DynamicPrompt(prompt=template, combinatorial=True, max_prompts=5)).collection) == 5


def test_random_prompts_follow_the_seed_and_are_cached(studio):
    node = DynamicPrompt(prompt="{a|b|c|d|e|f|g|h} {a|b|c|d|e|f|g|h}", max_prompts=6, seed=3)
    first = studio.run(node, progress=False)
    again = studio.run(node, progress=False)
    other = studio.run(node, {"dynamic_prompt.seed": 4}, progress=False)
    assert len(first[node].collection) == 6
    assert first[node].collection == again[node].collection
    assert again.stats.cached.all()
    assert other[other.graph["dynamic_prompt"]].collection != first[node].collection


def test_a_template_that_is_none_is_an_error(studio):
    with pytest.raises(NodeError, match="prompt is not a template"):
        studio.run(DynamicPrompt(prompt="{a|b", seed=1), progress=False)


def test_prompts_come_from_the_lines_of_a_file(result, tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("\ufeffa cat\n\n  a dog \na bird\n", encoding="utf-8")
    assert result(PromptsFromFile(file_path=file)).collection == ["a cat", "a dog", "a bird"]
    some = PromptsFromFile(file_path=file, start_line=3, max_prompts=1, pre_prompt="oh, ", post_prompt="!")
    assert result(some).collection == ["oh, a dog!"]


def test_a_changed_file_gives_new_prompts_and_only_new_lines_run_again(studio, tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("cat\ndog\n")
    shout = JoinStrings(id="shout", string_left=Iterate(collection=PromptsFromFile(file_path=file)), string_right="!")
    studio.run(shout, progress=False)
    file.write_text("cat\nbird\n")
    run = studio.run(shout, progress=False)
    assert [found.value for found in run.outputs(shout)] == ["cat!", "bird!"]
    assert list(run.stats[run.stats.source == "shout"].cached) == [True, False]


def test_a_file_that_cannot_be_read_is_an_error(studio, tmp_path):
    with pytest.raises(GraphError, match="there is no file"):
        studio.run(PromptsFromFile(file_path=tmp_path / "none.txt"), progress=False)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(NodeError, match="is not UTF-8 text: byte 3"):
        studio.run(PromptsFromFile(file_path=tmp_path / "latin.txt"), progress=False)


def test_a_colour_is_given_by_parts_name_or_code():
    assert Color(color="red").color == ColorField(r=255)
    assert Color(color="#11223344").color.rgba == (0x11, 0x22, 0x33, 0x44)
    assert Color(color=(1, 2, 3)).color.rgba == (1, 2, 3, 255)
    with pytest.raises(GraphError, match=r"color\.color.*unknown color"):
        Color(color="reddish")
    with pytest.raises(GraphError, match="less than or equal to 255"):
        Color(color={"r": 300})


def test_references_pass_through(studio, result):
    field = ConditioningField(conditioning_name="0" * 32)
    assert Conditioning(conditioning=field).invoke(NOTHING).conditioning == field
    with pytest.raises(GraphError, match="there are no tensors"):
        result(Latents(latents={"latents_name": "0" * 32}))
