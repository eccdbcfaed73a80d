"""The view of the models that a studio finds, and facts about any model file: `studio.models`."""

from os import PathLike
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbgraph.diffusion.header_index import facts_of_files
from nbgraph.diffusion.what_is import FileFacts, what_is
from nbgraph.frames import models_frame
from nbgraph.html import Html, table_html
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.model_manager.model_manager_base import ModelRow

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code


class ModelsView:
    """The models that nodes can name: `.frame`, `.search("sdxl", "lora")`, `.inspect(path)`; a cell shows a table."""

    def __init__(self, services: InvocationServices) -> None:
        self._services = services

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per model; of single files with kind, family, variant, precision and size."""
        return models_frame(*_rows(self._services))

    def search(self, *words: str) -> "pd.DataFrame":
        """Return the rows of `frame` that contain all these words, in any column and in any case."""
        table: Any = self.frame
        texts = [" ".join(map(str, row)).lower() for row in table.itertuples(index=False)]
        return table.loc[[all(word.lower() in text for word in words) for text in texts]]

    def inspect(self, path: str | PathLike[str]) -> FileFacts:
        """Return kind, family, variant and precision of a model file, read from its header in milliseconds.

        `problem` says why a file is not one of weights: a pickle, a saved web page, an interrupted download.

        Raises
        ------
        ModelError
            There is no such file.
        """
        return what_is(Path(path))

    def _repr_html_(self) -> Html:
        return table_html(self.frame, repr(self))

    def __repr__(self) -> str:
        return f"Models({len(self._services.model_manager.rows())} that can be named)"


def model_files(services: InvocationServices) -> list[dict[str, str]]:
    """Return the name of each model that can be named, with `kind` and `family` as in `ModelsView.frame`."""
    rows, facts = _rows(services)
    found: list[dict[str, str]] = []
    for row in rows:
        own = facts.get(row.path)
        kind, family = ("folder", "") if own is None else (own.kind, " ".join(filter(None, (own.family, own.variant))))
        found.append({"name": row.name, "kind": kind, "family": family})
    return found


def _rows(services: InvocationServices) -> tuple[list[ModelRow], dict[str, FileFacts]]:
    """Return all models that can be named, and the facts about single files by path."""
    rows = services.model_manager.rows()
    # Headers are read at once and remembered: a folder may hold thousands of files.
    return rows, facts_of_files([row.path for row in rows if isfile(row.path)])
