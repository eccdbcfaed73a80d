"""The versions of what computes pictures."""

import nbgraph
from nbgraph.services.invocation_cache.code_packages import version_of

LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "pillow")


def version() -> str:
    """Return the version of this package."""
    return nbgraph.__version__


def packages() -> dict[str, str]:
    """Return the versions of the installed packages on which pictures depend, read without importing them."""
    return {name: found for name in LIBRARIES if (found := version_of(name))}
