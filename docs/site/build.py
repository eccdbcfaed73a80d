"""Build the documentation site in build/site: the pages of the repository, its notebooks and the API reference.

    python docs/site/build.py             with the notebooks as they are stored, without outputs
    python docs/site/build.py --execute   with the notebooks run, pictures and tables included

The pages keep their places in the repository, so that a link works on the site as it does in a checkout.
"""

import argparse
import logging
import shutil
import sys
from pathlib import Path

import nbformat
from mkdocs.commands.build import build
from mkdocs.config import load_config
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import ExecutePreprocessor

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "build" / "pages"
COPIED = (
    "*.md",
    "docs/**/*.md",
    "docs/*.png",
    "docs/*.webp",
    "docs/site/style.css",
    "nbgraph/models/*/*.md",
    "nbgraph/models/*/*.png",
    "LICENSE",
    "nbgraph/models/*/OFL.txt",
)
CELL_SECONDS = 300


def copy_pages() -> None:
    """Copy every page and picture to the place it has in the repository."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for pattern in COPIED:
        for path in ROOT.glob(pattern):
            target = PAGES / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def render_notebook(path: Path, *, execute: bool) -> str:
    """Write a notebook as a markdown page with its pictures beside it; return its title."""
    notebook = nbformat.read(path, as_version=4)
    if execute:
        # In a kernel of its own, in the notebooks' folder, as a person runs it.
        resources = {"metadata": {"path": str(path.parent)}}
        ExecutePreprocessor(timeout=CELL_SECONDS).preprocess(notebook, resources)
    text, found = MarkdownExporter().from_notebook_node(notebook, {"output_files_dir": f"{path.stem}_files"})
    target = PAGES / "notebooks" / f"{path.stem}.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text.replace(".ipynb)", ".md)"), encoding="utf-8")
    for name, content in found["outputs"].items():
        (target.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (target.parent / name).write_bytes(content)
    return title_of(target)


def title_of(page: Path) -> str:
    """Return the first heading of a page, or its file's name."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix("# ") for line in lines if line.startswith("# ")), page.stem)


def navigation(notebooks: dict[str, str]) -> list[dict[str, object]]:
    """Return the site's menu: start, concepts, notebooks, reference, project."""

    def pages(folder: str) -> list[dict[str, str]]:
        return [{title_of(each): str(each.relative_to(PAGES))} for each in sorted((PAGES / folder).glob("*.md"))]

    project = ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
    return [
        {"Start": "README.md"},
        {"Guide": pages("docs")},
        {"Notebooks": [{title: f"notebooks/{name}.md"} for name, title in notebooks.items()]},
        {"API reference": pages("docs/api")},
        {"Project": [{title_of(PAGES / name): name} for name in project if (PAGES / name).exists()]},
    ]


def build_site(*, execute: bool) -> Path:
    """Build the site and return its folder; a broken link is an error."""
    copy_pages()
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    notebooks = {path.stem: render_notebook(path, execute=execute) for path in paths}
    config = load_config(str(ROOT / "docs" / "site" / "mkdocs.yml"), nav=navigation(notebooks))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    return Path(config.site_dir)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    parser.add_argument("--execute", action="store_true", help="run the notebooks first")
    site = build_site(execute=parser.parse_args().execute)
    sys.stdout.write(f"open {site.relative_to(ROOT)}/index.html\n")
