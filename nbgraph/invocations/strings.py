"""Nodes that join, split and replace texts."""

from collections.abc import Iterator, Mapping
from typing import Any

import regex
from pydantic import Field

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.limits import check_text
from nbgraph.invocations.outputs import PromptPairOutput, StringOutput, TwoStringsOutput

REGEX_SECONDS = 2.0


@invocation("string_join", title="Join strings", category="strings", version="1.0.0", static=True)
class JoinStrings(BaseInvocation):
    """One text after the other, nothing between them."""

    string_left: str = Field("", title="Left", description="First text")
    string_right: str = Field("", title="Right", description="Second text")

    def invoke(self, context: InvocationContext) -> StringOutput:
        check_text(len(self.string_left) + len(self.string_right))
        return StringOutput(value=self.string_left + self.string_right)


@invocation("string_join_three", title="Join three strings", category="strings", version="1.0.0", static=True)
class JoinThreeStrings(BaseInvocation):
    """Three texts, one after the other, nothing between them."""

    string_left: str = Field("", title="Left", description="First text")
    string_middle: str = Field("", title="Middle", description="Second text")
    string_right: str = Field("", title="Right", description="Third text")

    def invoke(self, context: InvocationContext) -> StringOutput:
        check_text(len(self.string_left) + len(self.string_middle) + len(self.string_right))
        return StringOutput(value=self.string_left + self.string_middle + self.string_right)


@invocation("string_split", title="Split string", category="strings", version="1.0.0", static=True)
class SplitString(BaseInvocation):
    """The text before the first delimiter, and the text after it; without a delimiter the first output has all."""

    string: str = Field("", title="Text", description="Text to split")
    delimiter: str = Field("", description="Text to split at, where it first occurs")

    def invoke(self, context: InvocationContext) -> TwoStringsOutput:
        if not self.delimiter:
            return TwoStringsOutput(string_1=self.string, string_2="")
        before, _, after = self.string.partition(self.delimiter)
        return TwoStringsOutput(string_1=before, string_2=after)


@invocation("string_split_neg", title="Split prompt", category="strings", version="1.0.0", static=True)
class SplitPrompt(BaseInvocation):
    r"""The parts in [square brackets] become the negative prompt, the rest the positive; \[ is a plain sign."""

    string: str = Field("", title="Prompt", description="Prompt with negative parts in [square brackets]")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "string" in known:
            try:
                split_prompt(known["string"])
            except NbgraphError as error:
                yield "string", str(error)

    def invoke(self, context: InvocationContext) -> PromptPairOutput:
        positive, negative = split_prompt(self.string)
        return PromptPairOutput(positive_string=positive, negative_string=negative)


@invocation("string_replace", title="Replace in string", category="strings", version="1.0.0", static=True)
class ReplaceString(BaseInvocation):
    r"""A text with every occurrence of another replaced; with a regular expression, \1 is its first group."""

    string: str = Field("", title="Text", description="Text to search")
    search_string: str = Field(min_length=1, title="Search for", description="Text, or regular expression, to look for")
    replace_string: str = Field(
        "", title="Replace by", description="Text to put in its place; \\1 is the first group of a regular expression"
    )
    use_regex: bool = Field(
        False, title="Regular expression", description="Read the search text as a regular expression"
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if known.get("use_regex") and "search_string" in known:
            try:
                regex.compile(known["search_string"])
            except regex.error as error:
                yield "search_string", f"is not a regular expression: {error}"

    def invoke(self, context: InvocationContext) -> StringOutput:
        if not self.use_regex:
            longer = len(self.replace_string) - len(self.search_string)
            check_text(len(self.string) + longer * self.string.count(self.search_string))
            return StringOutput(value=self.string.replace(self.search_string, self.replace_string))
        # counted while it is made: one match can expand to a text of any length, and there may be many
        made = 0

        def expanded(match: regex.Match[str]) -> str:
            nonlocal made
            text = match.expand(self.replace_string)
            made += len(text)
            check_text(made)
            return text

        try:
            # `regex`, because `re` has no timeout, and some expressions take hours on a short text
            replaced = regex.sub(self.search_string, expanded, self.string, timeout=REGEX_SECONDS)
        except TimeoutError:
            text = f"took more than {REGEX_SECONDS:g} s on this text; write one that has fewer ways to match"
            raise NbgraphError(f"search_string {self.search_string!r} {text}") from None
        except (regex.error, IndexError) as error:
            raise NbgraphError(f"search_string or replace_string is not a regular expression: {error}") from None
        return StringOutput(value=replaced)


def split_prompt(text: str) -> tuple[str, str]:
    """Return (positive, negative): the text outside and inside square brackets, each joined by spaces.

    Raises
    ------
    NbgraphError
        Brackets are nested, or not balanced.
    """
    pieces: tuple[list[str], list[str]] = ([""], [""])
    inside, place = 0, 0
    while place < len(text):
        sign = text[place]
        if sign == "\\" and text[place + 1 : place + 2] in ("[", "]", "\\"):
            # a double backslash stays double: weighted prompts read it later
            taken = text[place + 1] if text[place + 1] != "\\" else "\\\\"
            pieces[inside][-1] += taken
            place += 2
            continue
        if sign in "[]":
            if (sign == "[") == bool(inside):
                problem = "another '[' before the ']'" if inside else "a ']' without '['"
                raise NbgraphError(f"has {problem} at place {place}; write \\{sign} for the plain sign")
            pieces[inside].append("")
            inside = 1 - inside
        else:
            pieces[inside][-1] += sign
        place += 1
    if inside:
        raise NbgraphError("has a '[' without ']'; write \\[ for the plain sign")
    positive, negative = (" ".join(filter(None, map(str.strip, part))) for part in pieces)
    return positive, negative
