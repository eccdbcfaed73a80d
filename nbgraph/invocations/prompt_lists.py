"""Many prompts at once: from a template with choices, or from the lines of a file."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from os.path import isfile
from pathlib import Path
from random import Random
from typing import Any

from pydantic import Field

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import Seed
from nbgraph.invocations.limits import bounded, check_list, check_text
from nbgraph.invocations.outputs import StringCollectionOutput
from nbgraph.invocations.wildcards import WildcardsField
from nbgraph.loading import load_library
from nbgraph.texts import value_text

PACKAGE = "dynamicprompts"
MISSING = "needs the package dynamicprompts: pip install 'nbgraph[prompt]'"
MAX_FILE_BYTES = 16 * 2**20
MAX_SECONDS = 10.0


@invocation("dynamic_prompt", title="Dynamic prompt", category="strings", version="1.1.0")
class DynamicPrompt(BaseInvocation):
    """Prompts from a template with choices, `a {red|green} apple`, and wildcards, `a __color__ apple`.

    All combinations in order, each prompt once, or random ones by a seed. At most `max_prompts`; fewer if there are no
    more combinations. The syntax is that of the package dynamicprompts. A wildcard that is not there is an error. So is
    a template whose combinations take more than 10 s to find.
    """

    prompt: str = Field(
        max_length=100_000, title="Template", description="Template with choices, such as a {red|green} apple"
    )
    wildcards: WildcardsField | None = Field(
        None, description="Lists for wildcards such as __color__, from a Wildcards node"
    )
    max_prompts: int = Field(1, ge=1, le=10_000, description="Largest number of prompts to make")
    combinatorial: bool = Field(False, description="Take all combinations in order, instead of random ones")
    seed: Seed = Field(None, description="Seed of the random choices; drawn anew at every run if left out")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if find_spec(PACKAGE) is None:
            yield "prompt", MISSING

    def invoke(self, context: InvocationContext) -> StringCollectionOutput:
        if find_spec(PACKAGE) is None:
            raise NbgraphError(f"dynamic_prompt {MISSING}")
        try:
            with bounded(MAX_SECONDS, context.is_cancelled, "finding the prompts of this template"):
                return StringCollectionOutput(collection=self._prompts())
        except NbgraphError:
            raise
        except RecursionError:
            raise NbgraphError("prompt is nested too deeply, or refers to itself through its wildcards") from None
        # the package's parser raises many kinds of errors
        except Exception as error:
            raise NbgraphError(f"prompt is not a template: {error}; choices are written {{red|green}}") from None

    def _prompts(self) -> list[str]:
        load_library(f"{PACKAGE}.samplers")  # the context would import it only when it is used
        found = load_library(f"{PACKAGE}.sampling_context")
        methods = load_library(f"{PACKAGE}.enums").SamplingMethod
        prompts = found.SamplingContext(
            default_sampling_method=methods.COMBINATORIAL if self.combinatorial else methods.RANDOM,
            wildcard_manager=_manager(self.wildcards, self.combinatorial),
            rand=Random(self.seed),
        ).sample_prompts(self.prompt)
        texts = map(str, prompts)
        if self.combinatorial:
            seen: set[str] = set()
            texts = (text for text in texts if not (text in seen or seen.add(text)))
        return list(islice(texts, self.max_prompts))


def _manager(wildcards: WildcardsField | None, combinatorial: bool) -> Any:
    """Return a manager of wildcards for the package, over lists that are known.

    The package's own manager reads folders itself, repeats the name of a missing wildcard for ever, and in combinations
    leaves out texts whose weight is below 1.
    """
    package = load_library(f"{PACKAGE}.wildcards")
    values = load_library(f"{PACKAGE}.wildcards.values").WildcardValues
    item = load_library(f"{PACKAGE}.wildcards.item").WildcardItem

    def several_at_once(self: Any) -> Iterator[str]:
        if self.has_varied_weights:
            raise NbgraphError(
                "weights of a wildcard are not read where several of its texts are taken at once, as in "
                "{2$$__color__}; take one at a time, or write the texts without weights"
            )
        return iter(self.string_values)

    weighted = type("Values", (values,), {"iterate_string_values_weighted": several_at_once})

    def get_values(self: Any, wildcard: str) -> Any:
        if wildcards is None:
            text = (
                f"prompt has the wildcard __{wildcard}__, and there are none; link a Wildcards node, or write choices"
            )
            raise NbgraphError(f"{text}, {{red|green}}")
        texts = wildcards.texts(wildcard)
        return weighted.from_items(text if combinatorial else item(text, weight) for text, weight in texts)

    return type("Lists", (package.WildcardManager,), {"get_values": get_values})()


@invocation("prompt_from_file", title="Prompts from file", category="strings", version="1.0.0", use_cache=False)
class PromptsFromFile(BaseInvocation):
    """The lines of a UTF-8 text file as prompts, without blank ones; `max_prompts=0` takes all from `start_line` on.

    The file is read at every run. Nodes after it are cached by the lines, and run again only for new ones.
    """

    file_path: Path = Field(title="File", description="Path of a UTF-8 text file with a prompt on each line")
    pre_prompt: str = Field("", title="Before", description="Text to put before each prompt")
    post_prompt: str = Field("", title="After", description="Text to put after each prompt")
    start_line: int = Field(1, ge=1, description="Number of the first line to read, from 1")
    max_prompts: int = Field(0, ge=0, description="Largest number of prompts; 0 takes all")

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        if "file_path" in known and not isfile(known["file_path"]):
            yield "file_path", f"there is no file {value_text(str(known['file_path']))} (looked in {Path.cwd()})"

    def invoke(self, context: InvocationContext) -> StringCollectionOutput:
        lines = (line.strip() for line in self._lines()[self.start_line - 1 :])
        wanted = list(islice(filter(None, lines), self.max_prompts or None))
        check_list(len(wanted))
        check_text(sum(map(len, wanted)) + len(wanted) * len(self.pre_prompt + self.post_prompt))
        return StringCollectionOutput(collection=[f"{self.pre_prompt}{line}{self.post_prompt}" for line in wanted])

    def _lines(self) -> list[str]:
        try:
            with self.file_path.open("rb") as opened:
                # one byte more shows that the file is longer, without reading all of it
                content = opened.read(MAX_FILE_BYTES + 1)
            if len(content) > MAX_FILE_BYTES:
                raise NbgraphError(f"{self.file_path} has more than {MAX_FILE_BYTES:,} bytes; split it")
            # editors on Windows begin UTF-8 files with a byte order mark
            return content.decode("utf-8-sig").splitlines()
        except OSError as error:
            raise NbgraphError(f"{self.file_path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise NbgraphError(f"{self.file_path} is not UTF-8 text: byte {error.start}; save it as UTF-8") from None
