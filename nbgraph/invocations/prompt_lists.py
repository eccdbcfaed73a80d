"""Many prompts at once: from a template with choices, or from the lines of a file."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from os.path import isfile
from pathlib import Path
from typing import Any

from pydantic import Field

from nbgraph.errors import NbgraphError
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import Seed
from nbgraph.invocations.limits import bounded, check_list, check_text
from nbgraph.invocations.outputs import StringCollectionOutput
from nbgraph.loading import load_library
from nbgraph.texts import value_text

PACKAGE = "dynamicprompts"
MISSING = "needs the package dynamicprompts: pip install 'nbgraph[prompt]'"
MAX_FILE_BYTES = 16 * 2**20
MAX_SECONDS = 10.0


@invocation("dynamic_prompt", title="Dynamic prompt", category="strings", version="1.0.0")
class DynamicPrompt(BaseInvocation):
    """Prompts from a template with choices, `a {red|green} apple`: all combinations in order, or random ones by a seed.

    At most `max_prompts`; fewer if there are no more combinations. The syntax is that of the package dynamicprompts;
    wildcards in files are not read, so one in the template is an error. A template whose combinations take more than
    10 s to find is an error too.
    """

    prompt: str = Field(
        max_length=100_000, title="Template", description="Template with choices, such as a {red|green} apple"
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
        load_library(f"{PACKAGE}.samplers")  # the generators would import it only when they are used
        generators = load_library(f"{PACKAGE}.generators")
        make = generators.CombinatorialPromptGenerator if self.combinatorial else generators.RandomPromptGenerator
        options = {"wildcard_manager": _no_wildcards(), **({} if self.combinatorial else {"seed": self.seed})}
        try:
            with bounded(MAX_SECONDS, context.is_cancelled, "finding the prompts of this template"):
                prompts = make(**options).generate(self.prompt, self.max_prompts)
        except NbgraphError:
            raise
        # the package's parser raises many kinds of errors
        except Exception as error:
            raise NbgraphError(f"prompt is not a template: {error}; choices are written {{red|green}}") from None
        return StringCollectionOutput(collection=list(islice(prompts, self.max_prompts)))


def _no_wildcards() -> Any:
    """Return a manager of wildcards that has none; the package's own would return the wildcard itself, without end."""
    manager = load_library(f"{PACKAGE}.wildcards").WildcardManager

    def get_values(self: Any, wildcard: str) -> Any:
        text = f"prompt has the wildcard __{wildcard}__, and there are none; write the choices instead, {{red|green}}"
        raise NbgraphError(text)

    return type("NoWildcards", (manager,), {"get_values": get_values})()


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
