"""A graph read from Python code such as `graph.to_python()` writes. The code is parsed, and never run.

Understood are imports, assignments to names, values (numbers, texts, lists, dictionaries), calls of node classes,
`node.output("name")`, `Graph.of(...)`, `LibraryGraph.from_dict(...).node_class()` and the functions that the caller
allows. Nothing is imported: a class is looked up among the registered node types, by module and name. Anything else,
loops and arithmetic for example, is refused with its line.
"""

import ast
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, cast

from nbgraph.errors import GraphError, NbgraphError, Problem, suggest
from nbgraph.gc_pause import gc_pause
from nbgraph.invocations.base import BaseInvocation
from nbgraph.invocations.node_registry import registry
from nbgraph.services.shared.graph.edges import GRAPH
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.graph_json import MAX_BYTES
from nbgraph.services.shared.graph.library import LibraryGraph
from nbgraph.texts import is_utf8

Functions = Mapping[str, Callable[..., BaseInvocation]]
"""Functions that code may call besides node classes, by their names in `nbgraph`."""
UNDERSTOOD = "code of a graph has imports, assignments, calls of node classes and plain values"
TOO_DEEP = "the code is nested too deeply"
OWN = {"Graph": Graph, "LibraryGraph": LibraryGraph}


class CodeError(GraphError):
    """Python code describes no graph; `line` is the number of the first line that is wrong."""

    def __init__(self, line: int, problems: Sequence[Problem]) -> None:
        self.line = line
        super().__init__(problems)

    @property
    def message(self) -> str:
        """What is wrong, without the line."""
        return "; ".join(str(problem) if problem.node else problem.message for problem in self.problems)

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True)
class ReadCode:
    """A graph, and the line of code that makes each of its nodes."""

    graph: Graph
    lines: dict[str, int]


@dataclass(frozen=True)
class _Module:
    """A module that was imported by name; only node classes and what `nbgraph` exports for graphs are found in it."""

    name: str


def graph_from_python(code: str, functions: Functions | None = None) -> ReadCode:
    """Return the graph of all nodes that Python code makes; nodes named by `Graph.of` come first.

    A node without `id=` that is assigned to a variable gets its name, if no other node has that id.

    Parameters
    ----------
    code
        The code.
    functions
        Functions of `nbgraph` that may be called, each of which returns a node.

    Raises
    ------
    CodeError
        The code cannot be parsed, does something else than to describe a graph, or the graph is not valid.
    """
    with gc_pause():
        reader = _Reader(functions or {})
        for statement in _parse(code):
            with _at(statement.lineno):
                reader.read(statement)
        return reader.result()


def _parse(code: str) -> list[ast.stmt]:
    if len(code) > MAX_BYTES:
        _fail(1, f"the code has {len(code):,} characters; a graph has at most {MAX_BYTES:,}")
    try:
        return ast.parse(code).body
    except SyntaxError as error:
        _fail(error.lineno or 1, str(error.msg))
    # ValueError: a null character; the others: nested more deeply than the parser can follow.
    except (ValueError, RecursionError, MemoryError) as error:
        _fail(1, str(error) if isinstance(error, ValueError) else TOO_DEEP)


def _fail(line: int, text: str) -> NoReturn:
    raise CodeError(line, [Problem("bad_code", text)])


@contextmanager
def _at(line: int) -> Generator[None]:
    """Add the line to the errors of nodes and graphs."""
    try:
        yield
    except CodeError:
        raise
    except GraphError as error:
        raise CodeError(line, error.problems) from None
    except RecursionError:
        raise CodeError(line, [Problem("bad_code", TOO_DEEP)]) from None
    # A function with other arguments, a key that is a list.
    except (NbgraphError, TypeError, ValueError) as error:
        raise CodeError(line, [Problem("bad_code", str(error))]) from None


class _Reader:
    """The names and nodes that the statements so far have made."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._names: dict[str, object] = {}
        self._made: list[tuple[BaseInvocation, int]] = []
        self._lines: dict[str, int] = {}
        self._targets: list[BaseInvocation] = []
        self._last = 1

    def read(self, statement: ast.stmt) -> None:
        """Read one statement."""
        self._last = statement.lineno
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                bound = alias.name if alias.asname else alias.name.partition(".")[0]
                self._names[alias.asname or bound] = _Module(bound)
        elif isinstance(statement, ast.ImportFrom):
            module = "." * statement.level + (statement.module or "")
            for alias in statement.names:
                # `import *` needs no list of names: a class is found by its name wherever it is used.
                if alias.name != "*":
                    self._names[alias.asname or alias.name] = self._member(statement, module, alias.name)
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if not isinstance(target, ast.Name):
                _fail(statement.lineno, f"only names can be assigned to, as in noise = Noise(); {UNDERSTOOD}")
            self._names[target.id] = self._value(statement.value, target.id)
        elif isinstance(statement, ast.Expr):
            self._value(statement.value)
        else:
            _fail(statement.lineno, f"{_words(statement)} is not read here; {UNDERSTOOD}")

    def result(self) -> ReadCode:
        """Return the graph of everything that was made."""
        with _at(self._last):
            graph = Graph([*self._targets, *[node for node, _ in self._made]])
        return ReadCode(graph, {graph.id_of(node): line for node, line in self._made})

    def _value(self, node: ast.expr, name: str = "") -> object:
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | bool | None):
            if isinstance(node.value, str) and not is_utf8(node.value):
                _fail(node.lineno, "a text has half of a surrogate pair, which is no character")
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            number = self._value(node.operand)
            if isinstance(number, int | float) and not isinstance(number, bool):
                return -number if isinstance(node.op, ast.USub) else number
        elif isinstance(node, ast.List | ast.Tuple):
            return [self._value(item) for item in node.elts]
        elif isinstance(node, ast.Dict):
            if None in node.keys:
                _fail(node.lineno, f"`**` is not read here; {UNDERSTOOD}")
            keys = cast("list[ast.expr]", node.keys)
            return {self._value(key): self._value(value) for key, value in zip(keys, node.values)}
        elif isinstance(node, ast.Name):
            return self._named(node)
        elif isinstance(node, ast.Attribute):
            owner = self._value(node.value)
            if isinstance(owner, _Module):
                return self._member(node, owner.name, node.attr)
            _fail(node.lineno, f"`.{node.attr}` is not read here; an output is written node.output({node.attr!r})")
        elif isinstance(node, ast.Call):
            return self._call(node, name)
        _fail(node.lineno, f"{_words(node)} is not read here; {UNDERSTOOD}")

    def _named(self, node: ast.Name) -> object:
        if node.id in self._names:
            return self._names[node.id]
        if node.id in OWN:
            return OWN[node.id]
        # Classes of the notebook, whose cells are not part of the code, and nodes that somebody types without import.
        found = [cls for cls in _classes() if cls.__name__ == node.id]
        own = [cls for cls in found if cls.__module__ == "__main__"] or found
        if len(own) == 1:
            return own[0]
        classes = [cls.__name__ for cls in _classes()]
        known = classes if node.id[:1].isupper() else [*self._names, *classes]
        reason = "means several node types; import one" if own else f"is not defined{suggest(node.id, known)}"
        _fail(node.lineno, f"{node.id} {reason}")

    def _member(self, node: ast.stmt | ast.expr, module: str, name: str) -> object:
        """Return what an import of a name from a module means, without importing it."""
        if module == "nbgraph" and name in OWN:
            return OWN[name]
        if module == "nbgraph" and name in self._functions:
            return self._functions[name]
        classes = [cls for cls in _classes() if cls.__name__ == name]
        exact = [cls for cls in classes if cls.__module__ == module]
        inside = exact or [cls for cls in classes if cls.__module__.startswith(f"{module}.")]
        if len(inside) == 1:
            return inside[0]
        if module == "nbgraph" and name == "invocations":
            return _Module(f"{module}.{name}")
        known = [cls.__name__ for cls in _classes() if cls.__module__.startswith(module)]
        _fail(node.lineno, f"{module} has no node class {name!r}{suggest(name, known)}; nothing else can be used here")

    def _call(self, call: ast.Call, name: str) -> object:
        method = call.func
        if isinstance(method, ast.Attribute):
            owner = self._value(method.value)
            if not isinstance(owner, _Module):
                return self._method(call, owner, method.attr)
        called = self._value(call.func)
        if isinstance(called, type) and issubclass(called, BaseInvocation):
            return self._node(call, called, name)
        for function in self._functions.values():
            if called is function:
                positional, keywords = self._arguments(call)
                with _at(call.lineno):
                    return self._note(function(*positional, **keywords), call.lineno)
        _fail(call.lineno, f"{ast.unparse(call.func)[:80]} is no node class, and cannot be called here")

    def _node(self, call: ast.Call, cls: type[BaseInvocation], name: str) -> BaseInvocation:
        positional, keywords = self._arguments(call)
        if "id" not in keywords and name and name not in self._lines:
            keywords["id"] = name
        with _at(call.lineno):
            return self._note(cls(*cast("list[NoReturn]", positional), **keywords), call.lineno)

    def _note(self, node: BaseInvocation, line: int) -> BaseInvocation:
        if node.id in self._lines:
            _fail(line, f"there is a node {node.id!r} already, made in line {self._lines[node.id]}; give another id")
        self._made.append((node, line))
        if node.id is not None:
            self._lines[node.id] = line
        return node

    def _method(self, call: ast.Call, owner: object, method: str) -> object:
        allowed = _allowed_method(owner, method)
        if allowed is None:
            _fail(call.lineno, f"`.{method}()` is not read here; {UNDERSTOOD}")
        positional, keywords = self._arguments(call)
        with _at(call.lineno):
            made = allowed(*positional, **keywords)
        if isinstance(made, Graph):
            self._targets += cast("list[BaseInvocation]", positional)
        return made

    def _arguments(self, call: ast.Call) -> tuple[list[object], dict[str, object]]:
        if any(keyword.arg is None for keyword in call.keywords):
            _fail(call.lineno, f"`**` is not read here; {UNDERSTOOD}")
        positional = [self._value(each) for each in call.args]
        return positional, {str(each.arg): self._value(each.value) for each in call.keywords}


def _allowed_method(owner: object, method: str) -> Callable[..., object] | None:
    """Return a method that code may call; None for any other."""
    if isinstance(owner, BaseInvocation) and method == "output":
        return owner.output
    if owner is Graph and method == "of":
        return Graph.of
    if owner is LibraryGraph and method == "from_dict":
        return LibraryGraph.from_dict
    return owner.node_class if isinstance(owner, LibraryGraph) and method == "node_class" else None


def _classes() -> list[type[BaseInvocation]]:
    """Return all node classes, but not that of library graphs: each of these has a class of its own."""
    return [cast("type[BaseInvocation]", cls) for type_name, cls in registry().items() if type_name != GRAPH]


def _words(node: ast.AST) -> str:
    """Return the first line of a piece of code, to be named in an error."""
    return f"`{ast.unparse(node).partition(chr(10))[0][:60]}`"
