"""The pages of documentation: their links lead somewhere, their tables are whole, what they tell to type works."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

from nbgraph.services.shared.graph.graph import Graph
from nbgraph.templates import text_to_image
from tests.processes import run_python

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


@cache
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
    done = run_python(script, cwd=tmp_path)
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


TRIED = ("make ", "nbgraph ", "python -m ")
HELD_BY_BINDER = "pip install "
"""`binder/postBuild` installs the package with pip in an environment of its own, in its test."""


@pytest.mark.parametrize(("page", "command"), commands())
def test_every_command_is_of_a_kind_that_is_tried(page, command):
    bare = re.sub(r"^[A-Z_]+=\S+ ", "", command)
    assert bare.startswith((*TRIED, HELD_BY_BINDER)), f"{page}: {command}"
    assert all((ROOT / name).is_file() for name in re.findall(r"-c (\S+\.txt)", bare)), f"{page}: {command}"


@pytest.mark.parametrize(
    ("page", "command"), [each for each in commands() if each[1].startswith(("nbgraph ", "python -m "))]
)
def test_every_shell_command_does_what_the_page_says(page, command, tmp_path):
    (tmp_path / "apple.json").write_text(Graph.of(text_to_image("a red apple", seed=7, steps=2)).to_json())
    (tmp_path / "notebooks").mkdir()
    if command.startswith("nbgraph lab"):
        command += " --version"
    program, *words = shlex.split(command)
    if program == "python":
        done = run_python(*words, cwd=tmp_path)
    elif words[0] == "lab":
        done = subprocess.run(
            [Path(sys.executable).parent / program, *words], cwd=tmp_path, capture_output=True, text=True
        )
    else:
        done = run_python("-c", "from nbgraph.cli.app import main; main()", *words, cwd=tmp_path)
    assert done.returncode == 0, f"{page}: {done.stderr}"


def spans(text: str) -> list[str]:
    """What stands in backticks in the running text and the tables of a page."""
    return [
        child.content for token in MARKDOWN.parse(text) for child in token.children or [] if child.type == "code_inline"
    ]


def sources() -> dict[str, str]:
    """The text of every file that is written by hand, by its path."""
    kinds = (".py", ".ts", ".tsx", ".txt", ".json", ".toml")
    found = {}
    for folder, inside, names in os.walk(ROOT):
        inside[:] = [name for name in inside if name not in ("node_modules", "static", "out") and name[0] != "."]
        found |= {f"{folder}/{name}": Path(folder, name) for name in names if name.endswith(kinds)}
    return {path: file.read_text(encoding="utf-8") for path, file in found.items()}


def missing_things(text: str) -> list[str]:
    """Commands, files and classes that a page of instructions names in backticks, and that are not there."""
    known = sources()
    scripts = json.loads((ROOT / "nbgraph/widgets/js/package.json").read_text())["scripts"]
    missing = []
    for span in spans(text):
        words = span.split()
        names = [word for word in words if word.startswith("tests/")]
        if "-m" in words and find_spec(words[words.index("-m") + 1]) is None:
            missing.append(span)
        if words[0] == "npm" and words[-1] != "ci" and words[-1] not in scripts:
            missing.append(span)
        if re.fullmatch(r"[a-z_/]+(\.py|\.ts|/)", span):
            names.append(span)
        missing += [
            name for name in names if not (ROOT / name).exists() and not any(p.endswith(f"/{name}") for p in known)
        ]
        if re.fullmatch(r"[A-Z][a-z]+[A-Z]\w+|[A-Z][a-z]\w+\.[a-z]\w+", span):
            kind, _, method = span.partition(".")
            homes = [body for body in known.values() if f"class {kind}" in body]
            if not any(not method or f"def {method}(" in body for body in homes):
                missing.append(span)
    return missing


def test_what_contributing_names_is_there():
    assert missing_things((ROOT / "CONTRIBUTING.md").read_text()) == []


def test_what_is_not_there_is_found_in_instructions():
    gone = (
        "`nbgraph/nowhere/` `nofile.py` `.venv/bin/python -m pytest tests/none` `python -m nbgraph.none` `npm run none`"
    )
    assert missing_things(gone + " `NoSuchClass` `Probe.nothing` `node.py`") == [
        "nbgraph/nowhere/",
        "nofile.py",
        "tests/none",
        "python -m nbgraph.none",
        "npm run none",
        "NoSuchClass",
        "Probe.nothing",
        "node.py",
    ]


def files_named(text: str) -> set[str]:
    """Return the Python files that a page names in backticks."""
    return set(re.findall(r"`([\w/]+\.py)`", text))


def test_the_files_that_the_architecture_names_are_there():
    known = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("nbgraph/**/*.py")} | {
        path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/*.py")
    }
    named = files_named((ROOT / "ARCHITECTURE.md").read_text())
    assert len(named) > 20
    assert {name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in known)} == set()
