"""The documentation site: it builds without a broken link, and every public name has its place in the API reference."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import nbgraph

ROOT = Path(__file__).parents[2]
REFERENCE = sorted((ROOT / "docs" / "api").glob("*.md"))
DIRECTIVE = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)


def documented() -> dict[str, Path]:
    """Return the dotted path of everything in the API reference, with its page."""
    return {name: page for page in REFERENCE for name in DIRECTIVE.findall(page.read_text(encoding="utf-8"))}


def resolved(name: str) -> object:
    """Return the module or the member of a module that a dotted path names."""
    module, _, member = name.rpartition(".")
    try:
        return getattr(import_module(module), member)
    except AttributeError:
        return import_module(name)


@pytest.fixture(scope="module")
def site() -> Path:
    done = subprocess.run(
        [sys.executable, ROOT / "docs/site/build.py"],
        capture_output=True,
        text=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    return ROOT / "build" / "site"


def test_the_site_builds_without_a_broken_link(site):
    assert (site / "index.html").is_file()
    assert len(list(site.glob("notebooks/*.html"))) == len(list(ROOT.glob("notebooks/*.ipynb")))


def test_what_the_reference_names_is_on_its_page(site):
    for name, page in documented().items():
        html = (site / page.relative_to(ROOT).with_suffix(".html")).read_text(encoding="utf-8")
        assert f'id="{name}"' in html, name


@pytest.mark.parametrize("name", nbgraph.__all__)
def test_every_public_name_is_in_the_reference(name):
    value = getattr(nbgraph, name)
    if getattr(value, "__module__", "").startswith("nbgraph"):
        assert any(each is value or getattr(each, name, None) is value for each in map(resolved, documented()))
    else:
        assert any(f"`nbgraph.{name}`" in page.read_text(encoding="utf-8") for page in REFERENCE)
