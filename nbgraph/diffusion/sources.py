"""Where the components of a model come from: a folder in the diffusers layout, or the share of one in a single file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbgraph.diffusion.model_files import read_json


@dataclass(frozen=True)
class Source:
    """Where one component is: a folder of its own, or the tensors of one `part` in a single file.

    A source with neither has only a configuration: sizes are known, and there is nothing to load.
    """

    path: str
    """The model folder or the file that the fingerprint is of."""
    fingerprint: str
    folder: Path | None = None
    file: Path | None = None
    part: str = ""
    """What the file holds of it, as `what_is` names parts: `denoiser`, `vae`, `clip_l` ..."""
    given: Mapping[str, Any] | None = field(default=None, hash=False)
    """The configuration where no folder has it."""
    content: str = ""
    """A hash of what the loaded component depends on; components of equal content are shared."""

    @property
    def where(self) -> Path:
        """The folder or file, for messages."""
        return self.file or self.folder or Path(self.path)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to load: a configuration alone."""
        return self.folder is None and self.file is None

    def config(self, name: str = "config.json") -> dict[str, Any]:
        """Return the configuration; raise `ModelError` when its file cannot be read."""
        if self.given is not None:
            return dict(self.given)
        return read_json((self.folder or Path(self.path)) / name)
