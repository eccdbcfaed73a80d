"""Prompts as ComfyUI and A1111 encode them: weights, and texts of any length in chunks of 75 tokens.

ComfyUI moves each token's embedding away from that of an empty text, z = (z - z_empty) * w + z_empty. A1111 multiplies
it, and brings the mean of all back to what it was. Both encode each chunk between start and end marks by itself.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from nbgraph.diffusion.components import Components
from nbgraph.diffusion.prompt import TOKENIZER_LOCK, check_encoded, encode_prompt
from nbgraph.diffusion.refs import ClipSkipPatch
from nbgraph.diffusion.textual_inversion import tokens_of
from nbgraph.diffusion.values import Conditioning
from nbgraph.errors import ModelError

PromptTool = Literal["comfy", "a1111"]
CHUNK = 75
LONG_WORD = 8
"""ComfyUI cuts a text of one weight and so many tokens where a chunk ends; a shorter one goes into the next whole."""
COMMA_BACKTRACK = 20
"""A1111 begins a chunk after a comma that is at most so many tokens before the end of the one before."""
FAMILIES = ("stable-diffusion", "stable-diffusion-xl")
Piece = tuple[str, float]
Weighted = list[tuple[int, float]]
_EMBEDDING = re.compile(r"\bembedding:([^\s,:()]+)")
_UNREAD = (
    (_EMBEDDING, "a textual inversion that is not over these text encoders; put a TextualInversion node on them, or"),
    (re.compile(r"<(?:lora|lyco|hypernet):[^>]*>"), "a tag of a model; put a LoRA node on the model instead, and"),
    (re.compile(r"\[[^\[\]:]*:[^\[\]:]*:[\d. ]+\]|\[[^\[\]|]+\|[^\[\]]+\]"), "a change of the text part-way;"),
    (re.compile(r"(?<!\w)AND(?!\w)"), "several prompts in one, which is not read;"),
)
_MARKS = re.compile(r"\\[()\[\]\\]|[()\[\]]|:\s*[+-]?[\d.]+\s*\)|\bBREAK\b|[^\\()\[\]:B]+|.", re.DOTALL)


@torch.no_grad()
def encode_tool_prompt(components: Components, text: str, tool: PromptTool) -> Conditioning:
    """Encode a text as a tool does; needs the components `text`.

    For models other than Stable Diffusion 1.5, 2 and XL a text without weights is encoded plainly. `ModelError` for
    syntax that is not read, which is named, and for weights with such a model.
    """
    tokens = {token.casefold() for token in tokens_of(components.patches)}
    unread = _EMBEDDING.sub(lambda piece: "" if piece[1].casefold() in tokens else piece[0], text)
    for pattern, what in _UNREAD if tool == "a1111" else _UNREAD[:1]:
        if found := pattern.search(unread):
            raise ModelError(f"{found[0]!r} is {what} take it out of the text")
    chunks = weighted_pieces(text, tool)
    family = components.model.need_family().key
    if family not in FAMILIES:
        if any(weight != 1 for pieces in chunks for _, weight in pieces):
            raise ModelError(f"weights in prompts are not read for models of the family {family!r}; take them out")
        return encode_prompt(components, "".join(word for pieces in chunks for word, _ in pieces))
    plain = encode_prompt(components, "")
    numbers = ["", "_2"] if family == "stable-diffusion-xl" else [""]
    encoded = [_Encoder(components, number, tool).encode(chunks) for number in numbers]
    tensors = {**plain.tensors, "prompt_embeds": torch.cat([each.embeds for each in encoded], dim=-1)}
    if family == "stable-diffusion-xl":
        tensors["pooled_prompt_embeds"] = encoded[-1].pooled
    check_encoded(components, tensors["prompt_embeds"])
    return Conditioning(tensors, family, text, encoded[0].tokens, token_limit=0)


def weighted_pieces(text: str, tool: PromptTool) -> list[list[Piece]]:
    """Return the text in pieces of one weight each; A1111's word BREAK begins another list."""
    if tool == "comfy":
        escaped = text.replace("\\)", "\0\1").replace("\\(", "\0\2")
        return [[(word.replace("\0\1", ")").replace("\0\2", "("), w) for word, w in _comfy_pieces(escaped, 1.0)]]
    return _a1111_pieces(text)


def _comfy_pieces(text: str, weight: float) -> Iterator[Piece]:
    for part in _in_parentheses(text):
        if len(part) < 2 or part[0] != "(" or part[-1] != ")":
            yield part, weight
            continue
        inner, own = part[1:-1], weight * 1.1
        head, colon, tail = inner.rpartition(":")
        if colon and head:
            try:
                inner, own = head, float(tail)
            except ValueError:
                inner = part[1:-1]
        yield from _comfy_pieces(inner, own)


def _in_parentheses(text: str) -> list[str]:
    """Return the text, cut where outermost parentheses open and close; one that is never closed is open text."""
    parts: list[str] = []
    current, depth = "", 0
    for letter in text:
        if letter == "(":
            if depth == 0 and current:
                parts.append(current)
                current = ""
            depth += 1
        current += letter
        if letter == ")":
            # below zero too, as ComfyUI counts: after a stray one, parentheses are letters
            depth -= 1
            if depth == 0:
                parts.append(current)
                current = ""
    return [*parts, current] if current else parts


def _a1111_pieces(text: str) -> list[list[Piece]]:
    chunks: list[list[list[Any]]] = [[]]
    round_open: list[tuple[int, int]] = []
    square_open: list[tuple[int, int]] = []

    def multiply(begin: tuple[int, int], factor: float) -> None:
        for number in range(begin[0], len(chunks)):
            for piece in chunks[number][begin[1] if number == begin[0] else 0 :]:
                piece[1] *= factor

    for mark in _MARKS.findall(text):
        here = len(chunks) - 1, len(chunks[-1])
        if mark[0] == "\\":  # before another letter a backslash is nothing
            chunks[-1].append([mark[1:], 1.0])
        elif mark == "(":
            round_open.append(here)
        elif mark == "[":
            square_open.append(here)
        elif mark[0] == ":" and mark[-1] == ")" and round_open:
            multiply(round_open.pop(), float(mark[1:-1]))
        elif mark == ")" and round_open:
            multiply(round_open.pop(), 1.1)
        elif mark == "]" and square_open:
            multiply(square_open.pop(), 1 / 1.1)
        elif mark == "BREAK" and not round_open and not square_open:
            chunks.append([])
        elif mark == "BREAK":
            chunks[-1].append([mark, -1.0])  # within parentheses A1111 reads the word, of the weight that marks it
        else:
            chunks[-1].append([mark, 1.0])
    for begin in round_open:
        multiply(begin, 1.1)
    for begin in square_open:
        multiply(begin, 1 / 1.1)
    return [_joined(chunk) for chunk in chunks]


def _joined(pieces: list[list[Any]]) -> list[Piece]:
    found: list[Piece] = []
    for word, weight in pieces:
        if found and found[-1][1] == weight:
            found[-1] = found[-1][0] + word, weight
        else:
            found.append((word, weight))
    return found


@dataclass(frozen=True)
class _Encoded:
    embeds: Tensor
    pooled: Tensor
    tokens: int


class _Encoder:
    """One CLIP and its tokenizer, driven by hand."""

    def __init__(self, components: Components, number: str, tool: PromptTool) -> None:
        self.tool, self.device = tool, components.device
        self.tokenizer, self.model = components[f"tokenizer{number}"], components[f"text_encoder{number}"]
        skipped = sum(patch.layers for patch in components.patches if isinstance(patch, ClipSkipPatch))
        self.is_xl = components.model.need_family().key == "stable-diffusion-xl"
        self.layer = -(skipped + (2 if self.is_xl else 1))

    def encode(self, chunks: Sequence[list[Piece]]) -> _Encoded:
        """Return (1, 77 * chunks, width), the pooled embedding of the first chunk, and how many tokens the text has."""
        with TOKENIZER_LOCK:
            filled = [part for pieces in chunks for part in self._filled(self._groups(pieces))]
        states, pooled = self._run([[token for token, _ in part] for part in filled])
        weights = torch.tensor([[1.0, *(w for _, w in part), *[1.0] * (CHUNK + 1 - len(part))] for part in filled])
        weights = weights[..., None].to(states)
        if self.tool == "comfy":
            empty = self._run([[]])[0]
            states = torch.where(weights == 1, states, (states - empty) * weights + empty)
        elif bool((weights != 1).any()):
            weighted = states * weights
            before, after = (each.mean(dim=(1, 2), keepdim=True) for each in (states, weighted))
            # an encoder may give values whose mean is zero but for rounding: there is nothing to bring back then
            states = weighted * torch.where(after == 0, 1, before / after)
        return _Encoded(states.reshape(1, -1, states.shape[-1]).cpu(), pooled[:1].cpu(), sum(map(len, filled)))

    def _groups(self, pieces: list[Piece]) -> Iterator[Weighted]:
        """Yield tokens that stay together if they are few: the texts of one weight in ComfyUI, single ones in A1111."""
        for text, weight in pieces:
            tokens = self.tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"]
            group = [(token, weight) for token in tokens]
            yield from [group] if self.tool == "comfy" else ([each] for each in group)

    def _filled(self, groups: Iterator[Weighted]) -> list[Weighted]:
        if self.tool == "a1111":
            return filled_by_commas(groups, self.tokenizer.get_vocab().get(",</w>"))
        return filled_by_groups(groups)

    def _run(self, chunks: list[list[int]]) -> tuple[Tensor, Tensor]:
        begin, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        pad = self.tokenizer.pad_token_id
        rows = [[begin, *chunk, end, *[pad] * (CHUNK - len(chunk))] for chunk in chunks]
        found = self.model(torch.tensor(rows, device=self.device), output_hidden_states=True)
        states = found.hidden_states[self.layer]
        pooled = getattr(found, "text_embeds", None)
        if not self.is_xl:
            states = getattr(self.model, "text_model", self.model).final_layer_norm(states)
        return states, found.pooler_output if pooled is None else pooled


def filled_by_groups(groups: Iterable[Weighted]) -> list[Weighted]:
    """Return chunks of 75 tokens as ComfyUI fills them: a short group stays together, a long one is cut."""
    chunks: list[Weighted] = [[]]
    for group in groups:
        waiting = list(group)
        while len(chunks[-1]) + len(waiting) > CHUNK:
            room = CHUNK - len(chunks[-1])
            if len(group) >= LONG_WORD:
                chunks[-1] += waiting[:room]
                waiting = waiting[room:]
            chunks.append([])
        chunks[-1] += waiting
    return chunks


def filled_by_commas(groups: Iterable[Weighted], comma: int | None) -> list[Weighted]:
    """Return chunks of 75 tokens as A1111 fills them: what follows a comma near the end goes into the next chunk."""
    chunks: list[Weighted] = [[]]
    last_comma = -1
    for token, weight in (each for group in groups for each in group):
        if token == comma:
            last_comma = len(chunks[-1])
        elif len(chunks[-1]) == CHUNK and last_comma >= 0 and CHUNK - last_comma <= COMMA_BACKTRACK:
            chunks.append(chunks[-1][last_comma + 1 :])
            chunks[-2] = chunks[-2][: last_comma + 1]
            last_comma = -1
        if len(chunks[-1]) == CHUNK:
            chunks.append([])
            last_comma = -1
        chunks[-1].append((token, weight))
    return chunks
