"""Public names: each says what it is, and the examples in the docstrings are true."""

import builtins
import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import nbgraph

NOT_IMPORTED = ("nbgraph.models.", "nbgraph.cli.demo")
"""What trains the shipped model needs packages of its own."""


def modules() -> list[str]:
    found = [each.name for each in pkgutil.walk_packages(nbgraph.__path__, "nbgraph.")]
    return [name for name in found if not name.startswith(NOT_IMPORTED) and not name.endswith("__main__")]


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found: list[doctest.DocTest] = []
    for name in modules():
        module: ModuleType = importlib.import_module(name)
        found += [test for test in finder.find(module, name) if test.examples]
    return found


@pytest.fixture
def own_nodes(monkeypatch):
    """Nodes that an example defines are gone after it."""
    known = nbgraph.registry()
    assert len(known) > 0
    monkeypatch.setattr(known, "_classes", dict(known._classes))


@pytest.mark.usefixtures("own_nodes")
@pytest.mark.parametrize("test", examples(), ids=lambda test: test.name)
def test_the_examples_of_docstrings_are_true(test, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # what an example shows becomes the builtin `_`, for which a later IPython would keep off its own
    monkeypatch.setattr(builtins, "_", None, raising=False)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
    told: list[str] = []
    runner.run(test, out=told.append)
    assert runner.failures == 0, "".join(told)


def members(name: str) -> list[tuple[str, object]]:
    """A public name and, of a class of ours, its public methods and properties."""
    value = getattr(nbgraph, name)
    found: list[tuple[str, object]] = [(name, value)]
    if inspect.isclass(value):
        own = {
            key: each
            for base in value.__mro__
            if base.__module__.startswith("nbgraph")
            for key, each in vars(base).items()
        }
        found += [
            (f"{name}.{key}", each)
            for key, each in own.items()
            if not key.startswith(("_", "model_")) and (inspect.isroutine(each) or isinstance(each, property))
        ]
    return found


@pytest.mark.parametrize("name", nbgraph.__all__)
def test_every_public_name_and_its_methods_say_what_they_are(name):
    assert [label for label, each in members(name) if not (inspect.getdoc(each) or "").strip()] == []


@pytest.mark.parametrize("name", ["Studio", "Graph", "Run", "node", "invocation", "registry"])
def test_the_names_a_notebook_begins_with_show_an_example(name):
    assert ">>>" in (inspect.getdoc(getattr(nbgraph, name)) or "")
