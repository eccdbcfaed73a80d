"""Syntax of other tools in a prompt is encoded as letters: one warning a node names it and the node that reads it."""

import re

import pytest

import nbgraph as nb
from nbgraph.errors import NbgraphWarning
from nbgraph.invocations import ModelLoader, Prompt
from nbgraph.invocations.prompt_syntax import unread_syntax

ORDINARY = (
    "a cat (black), on a sofa",
    "a sign (16:9) and (at 10:30 pm)",
    "Ruth (John 3:16), a clock at 12:45",
    "a list [see below], a set {a, b}",
    "a C++ book, two -- three",
    "A CAT AND A DOG",
    "salt and pepper, take a break",
    "<3 love, a < b > c",
    "a snake_case name, __",
    "1:2 scale, f/1.8, (35mm)",
    r"a smiley \(happy:1.3\)",
    "café (naïve) – “quoted”",
    "[1] a footnote, [12:30] a time",
    "",
)
FOREIGN = {
    "a (red:1.3) cat": ("(red:1.3)", "WeightedPrompt"),
    "(a red cat:.8)": ("(a red cat:.8)", "WeightedPrompt"),
    "(red cat :1)": ("(red cat :1)", "WeightedPrompt"),
    "a ((red)) cat": ("((red))", "WeightedPrompt"),
    "a red++ cat": ("red++", "WeightedPrompt"),
    "(a red cat)1.3": ("(a red cat)1.3", "WeightedPrompt"),
    '("a cat", "a dog").blend(1, 2)': (").blend(", "WeightedPrompt"),
    "a cat <lora:fur:0.8>": ("<lora:fur:0.8>", "LoraLoader"),
    "a cat <lora:fur:0.8:0.5>": ("<lora:fur:0.8:0.5>", "LoraLoader"),
    "<hypernet:anime:1>": ("<hypernet:anime:1>", "no node"),
    "embedding:easynegative, blurry": ("embedding:easynegative", "TextualInversion"),
    "a [cat:dog:0.5]": ("[cat:dog:0.5]", "DenoiseLatents"),
    "a [:dog:10]": ("[:dog:10]", "DenoiseLatents"),
    "a [dog:0.5]": ("[dog:0.5]", "DenoiseLatents"),
    "a [dog::0.5]": ("[dog::0.5]", "DenoiseLatents"),
    "a [cat|dog]": ("[cat|dog]", "no node"),
    "a {red|green} cat": ("{red|green}", "DynamicPrompt"),
    "a {2$$red|green|blue} cat": ("{2$$red|green|blue}", "DynamicPrompt"),
    "a __color__ cat": ("__color__", "DynamicPrompt"),
    "a __colors/warm*__ cat": ("__colors/warm*__", "DynamicPrompt"),
    "a cat BREAK a dog": ("BREAK", "no node"),
    "a cat AND a dog": ("AND", "no node"),
}
READ_BY_WEIGHTED = ("a red++ cat", "(a red cat)1.3", '("a cat", "a dog").blend(1, 2)')


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_text_says_nothing(text):
    assert list(unread_syntax([text])) == []


@pytest.mark.parametrize("text", FOREIGN)
def test_syntax_is_named_with_who_reads_it(text):
    piece, reader = FOREIGN[text]
    (warning,) = unread_syntax([text])
    assert repr(piece) in warning
    assert reader in warning


@pytest.mark.parametrize("text", FOREIGN)
def test_what_a_weighted_prompt_reads_is_no_letters_to_it(text):
    assert bool(list(unread_syntax([text], weighted=True))) == (text not in READ_BY_WEIGHTED)


def test_an_embedding_over_the_text_encoders_is_no_letters():
    assert list(unread_syntax(["a embedding:Bad-Hands, cat"], embeddings=["bad-hands"])) == []
    assert list(unread_syntax(["a embedding:bad-hands-5"], embeddings=["bad-hands"])) != []


def test_a_node_warns_once_of_all_there_is():
    text = "a (red:1.3) (blue:0.5) cat <lora:fur:0.8>, embedding:bad, {a|b}"
    with nb.Studio() as studio, pytest.warns(NbgraphWarning) as told:
        studio.run(Prompt(id="prompt", text=text, clip=ModelLoader(model="emoji")), progress=False)
    (warning,) = [str(each.message) for each in told if "encoded as letters" in str(each.message)]
    assert warning.startswith("prompt: ")
    for piece in ("(red:1.3)", "<lora:fur:0.8>", "embedding:bad", "{a|b}"):
        assert warning.count(piece) == 1
    assert not re.search(r"blue", warning)
