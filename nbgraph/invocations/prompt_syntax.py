"""Prompt syntax that a model would read as letters: how to recognise it, and which node reads it."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from nbgraph.texts import shorten

_NUMBER = r"\s{0,9}[+-]?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9})\s{0,9}"
_SHOWN = 40
EMBEDDING = r"\bembedding:([^\s,:()]{1,200})"


@dataclass(frozen=True)
class Syntax:
    """A kind of syntax: its pattern, and which node reads it, as the end of a sentence that begins with the syntax."""

    pattern: re.Pattern[str]
    reader: str
    is_weight: bool = False
    """True for the syntax that nodes for weighted prompts read."""


def _syntax(pattern: str, reader: str, is_weight: bool = False) -> Syntax:
    return Syntax(re.compile(pattern), reader, is_weight)


SYNTAXES = (
    _syntax(
        rf"(?<!\\)\([^()\[\]{{}}]{{0,200}}[^\d\s()]\s{{0,9}}:{_NUMBER}\)",
        "a weight: WeightedPrompt reads weights, written (word)1.3 and for Stable Diffusion 1.5, 2 and XL",
    ),
    _syntax(
        r"(?<!\\)\([^()]{1,200}\)\d{0,9}\.\d{1,9}|\b\w{2,50}\+\+|(?<!\\)\)\.(?:blend|and|swap)\(",
        "a weight: WeightedPrompt reads it, for Stable Diffusion 1.5, 2 and XL",
        is_weight=True,
    ),
    _syntax(r"(?<!\\)\(\([^()]{1,200}\)\)", "emphasis: WeightedPrompt reads emphasis, written (word)1.2"),
    _syntax(r"<(?:lora|lyco):[^<>\n]{1,200}>", "a LoRA: LoraLoader puts one on a model"),
    _syntax(r"<hypernet:[^<>\n]{1,200}>", "a hypernetwork, which no node reads"),
    _syntax(EMBEDDING, "a textual inversion: TextualInversion puts one over the text encoders"),
    _syntax(
        rf"\[[^\[\]\n:]{{0,200}}:[^\[\]\n:]{{0,200}}:{_NUMBER}\]|\[[^\[\]\n]{{0,200}}[^\d\s\[\]:]\s{{0,9}}::?{_NUMBER}\]",
        "a change of the text part-way: no node reads it; DenoiseLatents twice, with denoising_end and denoising_start",
    ),
    _syntax(r"\[[^\[\]|\n]{1,200}\|[^\[\]\n]{1,200}\]", "alternating words, which no node reads"),
    _syntax(r"\{[^{}|\n]{0,200}\|[^{}\n]{0,200}\}", "a choice: DynamicPrompt reads it"),
    _syntax(r"(?<!\w)__[\w*/.-]{1,100}?__(?!\w)", "a wildcard, which no node reads; write {a|b} in DynamicPrompt"),
    _syntax(r"(?<![\w-])(?:BREAK|AND)(?![\w-])", "a way of joining texts that no node reads"),
)
"""Every repetition has a limit, so that no text takes long to search."""


def unread_syntax(texts: Sequence[str], weighted: bool = False, embeddings: Collection[str] = ()) -> Iterator[str]:
    """Yield at most one warning: syntax in the texts that is encoded as letters, each kind once, and who reads it.

    Parentheses, brackets and braces as in any text are none. `weighted` leaves out what nodes for weights read;
    `embeddings` are the tokens of the textual inversions over the text encoders, which are read.
    """
    found: dict[str, str] = {}
    read = {token.casefold() for token in embeddings}
    for written in texts:
        text = re.sub(EMBEDDING, lambda piece: "" if piece[1].casefold() in read else piece[0], written)
        # a prompt in capitals uses AND and BREAK as words
        shouted = text.upper() == text
        for syntax in SYNTAXES:
            piece = syntax.pattern.search(text)
            if piece and not (weighted and syntax.is_weight) and not (shouted and piece[0] in ("BREAK", "AND")):
                found.setdefault(syntax.reader, piece[0])
    if found:
        named = "; ".join(f"{shorten(piece, _SHOWN)!r} is {reader}" for reader, piece in found.items())
        yield f"the text has syntax that is encoded as letters: {named}"
