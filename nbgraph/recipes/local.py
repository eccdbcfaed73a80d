"""Open a recipe outside of a studio: models are looked for in the folders that the settings name."""

from os import PathLike
from pathlib import Path

from nbgraph.config import Settings
from nbgraph.recipes.opened import Opened
from nbgraph.recipes.reading import read_recipe
from nbgraph.recipes.shelf import Shelf
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.model_manager.model_manager_base import ModelManagerBase


def shelf_of(models: ModelManagerBase) -> Shelf:
    """Return the models that a model manager can name, and the parts of models and LoRA files in its folders."""
    folders = [Path(folder).expanduser() for folder in models.model_folders]
    parts = [file.parent for folder in folders if folder.is_dir() for file in sorted(folder.glob("*/config.json"))]
    named = {row.name: (row.name, row.path) for row in models.rows()}
    named |= {part.name: (str(part), str(part)) for part in parts if part.name not in named}
    return Shelf.of(named.values(), folders)


def open_recipe(source: str | bytes | PathLike[str], name: str = "the file") -> Opened:
    """Open a picture, a file or a text that says how a picture was made; see `Studio.open`."""
    return read_recipe(source, shelf_of(InvocationServices.memory(Settings()).model_manager), name)


open = open_recipe  # noqa: A001 - the public name is nb.open
