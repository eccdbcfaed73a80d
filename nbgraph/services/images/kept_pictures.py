"""Images for displays: one that cannot be read never keeps the others from being shown."""

from PIL import Image

from nbgraph.errors import NotFoundError, ResourceFileCorruptError, ResourceFileMissingError
from nbgraph.services.images.images_base import ImageServiceBase


def picture_or_why(images: ImageServiceBase, name: str) -> Image.Image | str:
    """Return the image of that name, or why there is none to show: "deleted", "missing" or "damaged"."""
    try:
        return images.get(name)
    # other errors of the store, such as a folder that cannot be read, concern all images and are raised
    except NotFoundError:
        return "deleted"
    except ResourceFileMissingError:
        return "missing"
    except ResourceFileCorruptError:
        return "damaged"
