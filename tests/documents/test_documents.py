"""The pages of documentation: their links lead somewhere, their tables are whole, what they tell to type works."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

from nbgraph.cli.demo import text_to_image
from nbgraph.services.shared.graph.graph import Graph

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("nbgraph/models/*/README.md")])
MARKDOWN = MarkdownIt("commonmark").enable("table")
NODE_REFERENCE = ROOT / "docs" / "nodes.md"
"""Its examples are run with the nodes they are of, in the tests of the nodes."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def links(text: str) -> Iterator[str]:
    for token in MARKDOWN.parse(text):
        for child in token.children or []:
            target = child.attrGet("href") or child.attrGet("src")
            if target:
                yield unquote(str(target))


def anchors(text: str) -> set[str]:
    tokens = MARKDOWN.parse(text)
    titles = [after.content for token, after in zip(tokens, tokens[1:]) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path, text: str) -> list[str]:
    """Links of a page to files or headings that are not there; addresses of the web are left alone."""
    found = []
    for link in links(text):
        path, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text() if path else text)):
            found.append(link)
    return found


def blocks(text: str, language: str) -> list[str]:
    return [token.content for token in MARKDOWN.parse(text) if token.type == "fence" and token.info == language]


def uneven_rows(text: str) -> list[str]:
    """Lines of tables with more or fewer cells than their table's first line; markdown would cut or fill them."""
    lines = text.splitlines()
    found = []
    for token in MARKDOWN.parse(text):
        if token.type == "table_open" and token.map:
            rows = [line for line in lines[slice(*token.map)] if line.strip()]
            counts = [len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row))) for row in rows]
            found += [row for row, count in zip(rows, counts) if count != counts[0]]
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings_that_are_there(page):
    assert broken_links(page, page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tables_have_the_same_cells_in_every_row(page):
    assert uneven_rows(page.read_text()) == []


def test_what_is_wrong_in_a_page_is_found():
    page = ROOT / "README.md"
    assert broken_links(page, "[a](nowhere.md) [b](README.md#no-such-title) ![c](docs/no.png)") == [
        "nowhere.md",
        "README.md#no-such-title",
        "docs/no.png",
    ]
    assert uneven_rows("| a | b |\n|---|---|\n| 1 | 2 | 3 |\n| 1 | `x|y` |\n") == ["| 1 | 2 | 3 |"]


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page != NODE_REFERENCE and blocks(page.read_text(), "python")],
    ids=name_of,
)
def test_python_blocks_run_from_top_to_bottom(page, tmp_path):
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(page.read_text(), "python")))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def commands() -> list[tuple[str, str]]:
    """Every line after a `$` in the pages, with its page."""
    return [
        (name_of(page), line.removeprefix("$ ").partition("  #")[0].strip())
        for page in PAGES
        for block in blocks(page.read_text(), "console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_that_is_named_is_there(page):
    assert set(re.findall(r"`make ([a-z-]+)`", page.read_text())) <= make_targets()


@pytest.mark.parametrize(("page", "command"), [each for each in commands() if each[1].startswith("make ")])
def test_every_make_command_can_be_made(page, command):
    done = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{page}: {done.stderr}"


@pytest.mark.parametrize(("page", "command"), [each for each in commands() if each[1].startswith("nbgraph ")])
def test_every_shell_command_does_what_the_page_says(page, command, tmp_path):
    (tmp_path / "apple.json").write_text(Graph.of(text_to_image("a red apple", 7, steps=2)).to_json())
    variables = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=variables, input="", capture_output=True, text=True)
    assert done.returncode == 0, f"{page}: {done.stderr}"
