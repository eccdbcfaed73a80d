"""Nodes that make much from little are bounded, and libraries that would never end can be cancelled."""

from queue import SimpleQueue

import pytest

from nbgraph.errors import CancelledError, GraphError, NbgraphError, NodeError
from nbgraph.invocations import (
    Collect,
    DynamicPrompt,
    Integer,
    JoinStrings,
    JoinThreeStrings,
    Multiply,
    RandomRange,
    Range,
    RangeOfSize,
    ReplaceString,
    limits,
    prompt_lists,
)
from nbgraph.invocations.limits import MAX_TEXT, bounded
from nbgraph.invocations.prompt_lists import PromptsFromFile
from nbgraph.services.events.events_common import NodeStarted

LONG = " ".join(["{10$$" + "|".join(map(str, range(12))) + "}"] * 3)
"""A template of which 10,000 prompts take seconds to find."""
WILDCARDS = (
    "{__animal__|dog}",
    "a __animal__",
    "{2$$__animal__|dog|cat}",
    "{__animal__}",
    "{a|{b|__animal__}}",
    "${x=__animal__} a ${x}",
    "__animal__ {a|b}",
)


@pytest.mark.parametrize("combinatorial", [True, False])
@pytest.mark.parametrize("prompt", WILDCARDS)
def test_a_wildcard_that_there_is_not_is_named(result, prompt, combinatorial):
    node = DynamicPrompt(prompt=prompt, combinatorial=combinatorial, max_prompts=100, seed=1)
    with pytest.raises(NodeError, match="wildcard __animal__, and there are none"):
        result(node)


def test_templates_that_never_end_are_stopped(result, monkeypatch):
    monkeypatch.setattr(prompt_lists, "MAX_SECONDS", 0.05)
    with pytest.raises(NodeError, match="took more than 0.05 s finding the prompts"):
        result(DynamicPrompt(prompt=LONG, combinatorial=True, max_prompts=10_000))


def test_a_template_whose_prompts_are_not_found_can_be_cancelled(studio):
    started = SimpleQueue()
    end = studio.services.events.subscribe(lambda event: isinstance(event, NodeStarted) and started.put(event))
    run = studio.submit(DynamicPrompt(id="prompts", prompt=LONG, combinatorial=True, max_prompts=10_000))
    started.get(timeout=60)
    end()
    run.cancel()
    run.wait()
    assert run.status == "cancelled"
    node = Integer(value=1)
    assert studio.run(node, progress=False)[node].value == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_bound_that_is_reached_while_something_is_deleted_is_told_at_the_end():
    class Slow:
        def __del__(self):
            for _ in range(1000):
                abs(1)

    with pytest.raises(NbgraphError, match="took more than 0 s waiting"), bounded(0, lambda: False, "waiting"):
        Slow()


def test_a_bound_puts_back_what_was_there():
    def forever():
        while True:
            yield 1

    def never_ends():
        for one in forever():
            len([one])

    with pytest.raises(NbgraphError, match="took more than 0.01 s waiting"), bounded(0.01, lambda: False, "waiting"):
        never_ends()
    with pytest.raises(CancelledError, match="cancelled while waiting"), bounded(60, lambda: True, "waiting"):
        never_ends()
    with bounded(60, lambda: False, "waiting"):
        assert sum(range(3)) == 3


def test_multiplied_numbers_stay_within_what_can_be_computed(studio):
    node = Integer(value=10**9)
    for _ in range(20):
        node = Multiply(a=node, b=node)
    with pytest.raises((GraphError, NodeError), match="more than 12000 bits"):
        studio.run(node, progress=False)


@pytest.mark.parametrize(
    "double",
    [
        lambda text: JoinStrings(string_left=text, string_right=text),
        lambda text: JoinThreeStrings(string_left=text, string_middle=text, string_right=text),
        lambda text: ReplaceString(string=text, search_string="a", replace_string="aaaa"),
        lambda text: ReplaceString(string=text, search_string="a", replace_string="aaaaaaaa", use_regex=True),
        lambda text: ReplaceString(string=text, search_string="^.*", replace_string=r"\g<0>\g<0>", use_regex=True),
    ],
    ids=["join", "join three", "replace", "replace by a pattern", "replace by what was found"],
)
def test_texts_stay_below_a_length(studio, monkeypatch, double):
    monkeypatch.setattr(limits, "MAX_TEXT", 1000)
    node = double("aaaa")
    for _ in range(40):
        node = double(node)
    with pytest.raises((GraphError, NodeError), match="makes a text of .* characters, and a node makes at most 1,000"):
        studio.run(node, progress=False)


def test_what_is_replaced_is_what_it_was(result):
    def replaced(**values):
        return result(ReplaceString(use_regex=True, **values)).value

    assert replaced(string="a cat", search_string=r"(\w+) (\w+)", replace_string=r"\2 \1") == "cat a"
    assert replaced(string="a.b", search_string=r"\.", replace_string=r"\n") == "a\nb"
    assert replaced(string="ab", search_string="x*", replace_string="-") == "-a-b-"
    assert MAX_TEXT == 10_000_000


def test_lists_stay_below_a_length(studio, monkeypatch):
    monkeypatch.setattr(limits, "MAX_LIST", 100)
    node = Collect(collection=Range(stop=100), item=Integer(value=1))
    with pytest.raises(NodeError, match="makes a list of 101 items, and a node makes at most 100"):
        studio.run(node, progress=False)


@pytest.mark.parametrize(
    "make",
    [
        lambda big: Range(start=big, stop=big + 3),
        lambda big: RangeOfSize(start=big, size=3),
        lambda big: RangeOfSize(size=3, step=big),
        lambda big: RandomRange(high=big, size=3),
        lambda big: RandomRange(low=-big, high=1, size=3),
    ],
)
def test_lists_hold_no_numbers_without_bound(result, make):
    with pytest.raises(GraphError, match="makes a list of numbers beyond"):
        result(make(10**1000))


def test_lines_of_a_file_with_what_is_put_around_them_stay_below_a_length(result, monkeypatch, tmp_path):
    monkeypatch.setattr(limits, "MAX_TEXT", 1000)
    (tmp_path / "lines.txt").write_text("a\n" * 50)
    with pytest.raises(NodeError, match="makes a text of 5,100 characters"):
        result(PromptsFromFile(file_path=tmp_path / "lines.txt", pre_prompt="b" * 101))
    found = result(PromptsFromFile(file_path=tmp_path / "lines.txt", pre_prompt="b ", max_prompts=3))
    assert found.collection == ["b a"] * 3
