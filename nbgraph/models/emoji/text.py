"""Words to tokens: a vocabulary of whole words, and the prompts the model learns.

The tokenizer itself forgives what people type: it lowers case, strips accents, turns hyphens and punctuation into
spaces and drops articles and little words, so "A red apple", "red apple" and "Red-Apple!" are the same tokens. A word
that no name holds becomes `<|unknown|>`, which the model learns to ignore.
"""

import random
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from .nets import WordTokenizer

TOKENS = 16  # the longest prompt, start and end included
START, END, PADDING, UNKNOWN = "<|start|>", "<|end|>", "<|padding|>", "<|unknown|>"
LITTLE_WORDS = ("a", "an", "and", "at", "by", "emoji", "for", "in", "of", "on", "the", "to", "with")
EMPTY_SHARE, SHORTENED_SHARE, UNKNOWN_SHARE = 0.1, 0.04, 0.1


def build_tokenizer(names: list[str]) -> WordTokenizer:
    """Return a tokenizer that knows every word of the names; `unk_token_id` marks any other word."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    little = "|".join(LITTLE_WORDS)
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex("['’]"), ""),
            normalizers.Replace(Regex("[^a-z0-9]+"), " "),
            normalizers.Replace(Regex(rf"(?<![a-z0-9])({little})(?![a-z0-9])"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = sorted({word for name in names for word in tokenizer.normalizer.normalize_str(name).split()})
    special = [START, END, PADDING, UNKNOWN]
    vocabulary = {word: index for index, word in enumerate(special + words)}
    tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(word, vocabulary[word]) for word in (START, END)]
    )
    fast: Any = PreTrainedTokenizerFast
    return fast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        model_max_length=TOKENS,
    )


def unknown_words(tokenizer: WordTokenizer, prompt: str) -> list[str]:
    """Return the words of a prompt, as typed, that the model has never seen."""
    encoded = tokenizer(prompt, return_offsets_mapping=True)
    pairs = zip(encoded.input_ids, encoded.offset_mapping, strict=True)
    return [prompt[start:end] for token, (start, end) in pairs if token == tokenizer.unk_token_id]


class Prompts:
    """Draws a training prompt for a drawing: its name or alias, at times shortened, interrupted or empty.

    A shortened prompt lacks one word of the name and is used only where no drawing has exactly that name, so "apple"
    may mean the red or the green one while "smiling face" stays itself.
    """

    def __init__(self, tokenizer: WordTokenizer, names: list[list[str]]) -> None:
        """`names` holds for each drawing all its names, the Unicode name first."""
        self.unknown = tokenizer.unk_token_id
        self.padding = tokenizer.pad_token_id
        self.start, self.end = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.exact = [[tuple(tokenizer(name, add_special_tokens=False).input_ids) for name in all_] for all_ in names]
        taken = {words for listed in self.exact for words in listed}
        assert len(taken) == sum(map(len, names)), "two drawings share a name once the little words are dropped"
        self.shortened = [
            [short for words in listed for short in without_one(words) if short and short not in taken]
            for listed in self.exact
        ]

    def draw(self, index: int, chance: random.Random) -> list[int]:
        """Return TOKENS token ids for the drawing at `index`.

        An empty prompt stands for every picture, which is what guidance steers away from.
        """
        kind = chance.random()
        if kind < EMPTY_SHARE:
            words: list[int] = []
        elif kind < EMPTY_SHARE + SHORTENED_SHARE and self.shortened[index]:
            words = list(chance.choice(self.shortened[index]))
        else:
            words = list(chance.choice(self.exact[index]))
        if words and chance.random() < UNKNOWN_SHARE:
            for _ in range(chance.randint(1, 2)):
                words.insert(chance.randint(0, len(words)), self.unknown)
        row = [self.start, *words[: TOKENS - 2], self.end]
        return row + [self.padding] * (TOKENS - len(row))


def without_one(words: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return every way to leave out one word."""
    return [words[:index] + words[index + 1 :] for index in range(len(words))]
