"""Which classes a model folder may name: those of diffusers and transformers, and nothing else."""

from pathlib import Path
from typing import Any

import diffusers
import transformers

from nbgraph.errors import ModelError


def component_class(folder: Path, name: str, library: Any, class_name: Any) -> type:
    """Return the class that `model_index.json` names for a component: one of diffusers or transformers.

    Raises
    ------
    ModelError
        Any other library, and a name that is no loadable class there: a model folder is data, and never chooses code to
        import.
    """
    if library == "diffusers":
        module: Any = diffusers
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
