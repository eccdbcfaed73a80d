"""The pictures of a studio, as a person sees them: `studio.images`."""

from typing import TYPE_CHECKING

from nbgraph.frames import images_frame
from nbgraph.services.images.images_common import ImageQuery
from nbgraph.services.invocation_services import InvocationServices

if TYPE_CHECKING:
    import pandas as pd


class ImagesView:
    """The pictures of a studio, as a person sees them."""

    def __init__(self, services: InvocationServices) -> None:
        self._images = services.images

    @property
    def frame(self) -> "pd.DataFrame":
        """One row for each picture, the newest first."""
        return images_frame(self._images.list(per_page=max(1, self.count)).items)

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return self._images.list(per_page=1).total

    def get(self, image_name: str):
        """The picture of that name, a PIL image."""
        return self._images.get(image_name)

    def delete(self, *image_names: str) -> int:
        """Delete pictures; cached results that name them go too. Returns how many there were."""
        return self._images.delete(*image_names)

    def delete_intermediates(self) -> int:
        """Delete every picture that is marked as intermediate."""
        return self._images.delete_intermediates()

    def search(self, text: str) -> "pd.DataFrame":
        """Pictures whose name, node or metadata hold a text."""
        return images_frame(self._images.list(ImageQuery(text=text), per_page=1000).items)

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"Images({self.count})"
