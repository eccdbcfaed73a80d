"""Which classes a model folder may name: those of diffusers and transformers, and nothing else."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import diffusers
import transformers

from nbgraph.errors import ModelError

_DEPRECATED = ("wuerstchen",)
"""Pipelines that diffusers has moved, whose classes folders name by where they were or by diffusers alone."""


def component_rows(index: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the rows of a `model_index.json` that name a component: its library and its class; none for absent ones.

    Lists of numbers are options of the pipeline.
    """
    return {name: row for name, row in index.items() if _names_component(row) and row[0] is not None}


def pipeline_options(index: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a `model_index.json` that are no components, such as `force_zeros_for_empty_prompt`."""
    return {name: each for name, each in index.items() if not _names_component(each) and not name.startswith("_")}


def _names_component(row: Any) -> bool:
    """Return whether an entry is `[library, class]`, or `[None, None]` for an absent component; spelt wrongly, too."""
    if not isinstance(row, list):
        return False
    parts = cast(list[Any], row)
    return len(parts) == 2 and any(part is None or isinstance(part, str) for part in parts)


def component_class(folder: Path, name: str, library: Any, class_name: Any) -> type:
    """Return the class that `model_index.json` names for a component: one of diffusers or transformers.

    Raises
    ------
    ModelError
        Any other library, and a name that is no loadable class there: a model folder is data, and never chooses code to
        import.
    """
    moved = _moved(library, class_name)
    if moved is not None:
        module: Any = moved
    elif library == "diffusers":
        module = diffusers
    elif library == "transformers":
        module = transformers
    elif isinstance(library, str) and library.isidentifier() and hasattr(diffusers.pipelines, library):
        module = getattr(diffusers.pipelines, library)
    else:
        raise ModelError(
            f"the model {str(folder)!r} wants its component {name!r} from the library {library!r}. Only "
            "diffusers and transformers are used: a model folder may not choose what is imported"
        )
    try:
        found = getattr(module, str(class_name), None)
        is_loadable = isinstance(found, type) and hasattr(found, "from_pretrained")
    except ImportError as error:
        needed = next((line for line in str(error).splitlines() if "requires" in line), str(error)[:200]).strip()
        raise ModelError(
            f"the model {str(folder)!r} wants {library}.{class_name} for its component {name!r}, which cannot be "
            f"imported here: {needed}. Install that package"
        ) from None
    if not isinstance(found, type) or not is_loadable:
        raise ModelError(
            f"the model {str(folder)!r} wants {library}.{class_name} for its component {name!r}, and there "
            f"is no such model class in the installed {library}. A newer {library} may have it"
        )
    return found


def _moved(library: Any, class_name: Any) -> Any:
    """Return the module of deprecated pipelines that has a class, None for all other classes."""
    for name in _DEPRECATED:
        if library == name or (library == "diffusers" and not hasattr(diffusers, str(class_name))):
            module = import_module(f"diffusers.pipelines.deprecated.{name}")
            if library == name or hasattr(module, str(class_name)):
                return module
    return None
