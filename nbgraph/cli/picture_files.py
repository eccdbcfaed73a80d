"""Pictures as files, for people without a notebook."""

from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

from PIL.Image import Image

from nbgraph.errors import NbgraphError
from nbgraph.services.invocation_services import InvocationServices


def picture_path(image_name: str, services: InvocationServices) -> Path:
    """The file of a picture; those of a studio in memory are written to a temporary folder first."""
    path = services.images.path(image_name)
    if path is not None:
        return path
    path = temporary_folder() / f"{image_name}.png"
    if not path.exists():
        write_picture(services.images.get(image_name), path)
    return path


def write_picture(image: Image, path: Path) -> None:
    """Write a picture in the format that the ending of the path names; `NbgraphError` if it names none."""
    try:
        image.save(path)
    except (OSError, ValueError, KeyError) as error:
        raise NbgraphError(f"the picture cannot be written to {str(path)!r}: {error}") from None


@lru_cache(maxsize=1)
def temporary_folder() -> Path:
    """A folder of this process, private to the person, which the system clears away."""
    return Path(mkdtemp(prefix="nbgraph-"))
