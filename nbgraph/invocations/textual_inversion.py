"""Textual inversions: trained vectors over the text encoders, which prompts name by a token."""

from collections.abc import Iterator, Mapping
from os.path import isfile
from pathlib import Path
from typing import Any

from pydantic import Field

from nbgraph import diffusion
from nbgraph.diffusion.refs import TextualInversionPatch
from nbgraph.errors import NbgraphError
from nbgraph.invocations.adapters import ClipOutput, patched
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.fields import ClipField
from nbgraph.texts import value_text


@invocation(
    "textual_inversion", title="Textual inversion", category="model", version="1.0.0", use_cache=False, static=True
)
class TextualInversion(BaseInvocation):
    """Teaches the text encoders a token: prompts that name it are read with the trained vectors of a file.

    Every prompt node reads the bare token and ComfyUI's `embedding:token`, in any case, as a whole word. For Stable
    Diffusion 1.5, 2, XL and Flux; several nodes are put one after the other.
    """

    embedding: Path = Field(description="Embedding by its name in this studio, or the path of its file")
    token: str | None = Field(
        None, max_length=100, description="Word that names it in prompts; left out, the one in the file, or its name"
    )
    clip: ClipField = Field(
        title="Text encoders",
        description="Part of a model that reads prompts, from a Model node or one that changes it, such as LoRA",
    )

    def check(self, known: Mapping[str, Any], context: InvocationContext) -> Iterator[tuple[str, str]]:
        file = known.get("embedding") and context.models.file_of(str(known["embedding"]))
        if file is not None and not isfile(file):
            text = f"there is no file {value_text(str(file))} (looked in {Path.cwd()})"
            yield "embedding", f"{text}; give the path of a .safetensors file, or its name in studio.models"
        elif file is not None and {"token", "clip"} <= known.keys():
            model = context.models.describe(known["clip"].model)
            if problem := diffusion.embedding_problem(model, file, known["token"]):
                yield "embedding", problem

    def invoke(self, context: InvocationContext) -> ClipOutput:
        path = context.models.file_of(str(self.embedding))
        token = self.token or diffusion.read_embedding_header(path, self.token).token
        others = [each for each in self.clip.model.patches if isinstance(each, TextualInversionPatch)]
        if any(each.token.casefold() == token.casefold() for each in others):
            text = f"a textual inversion {token!r} is applied to this model already; give token= another word"
            raise NbgraphError(text)
        return ClipOutput(clip=patched(self.clip, TextualInversionPatch.from_file(path, token=token)))
