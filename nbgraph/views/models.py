"""The models a studio can name, and what any model file is: `studio.models`."""

from os import PathLike
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbgraph.diffusion.header_index import facts_of_files
from nbgraph.diffusion.what_is import FileFacts, what_is
from nbgraph.frames import models_frame
from nbgraph.html import Html, table_html
from nbgraph.services.invocation_services import InvocationServices

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingTypeStubs] - its types are in its code


class ModelsView:
    """The models that can be named: `.frame`, `.search("sdxl", "lora")`; `.inspect(path)`. Shown, a table."""

    def __init__(self, services: InvocationServices) -> None:
        self._services = services

    @property
    def frame(self) -> "pd.DataFrame":
        """One row for each model that can be named; of a single file kind, family, variant, precision and size."""
        rows = self._services.model_manager.rows()
        return models_frame(rows, facts_of_files([row.path for row in rows if isfile(row.path)]))

    def search(self, *words: str) -> "pd.DataFrame":
        """The rows of `frame` that hold all these words, in any column and in any case."""
        table: Any = self.frame
        texts = [" ".join(map(str, row)).lower() for row in table.itertuples(index=False)]
        return table.loc[[all(word.lower() in text for word in words) for text in texts]]

    def inspect(self, path: str | PathLike[str]) -> FileFacts:
        """Return kind, family, variant and precision of a model file, read from its header in milliseconds.

        What is no weight file (a pickle, a saved web page, an interrupted download) is named in `problem`.

        Raises
        ------
        ModelError
            When there is no such file.
        """
        return what_is(Path(path))

    def _repr_html_(self) -> Html:
        return table_html(self.frame, repr(self))

    def __repr__(self) -> str:
        return f"Models({len(self._services.model_manager.rows())} that can be named)"
