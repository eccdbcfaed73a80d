"""A notebook in which code is edited: cells that run in a module of their own, and modules that they reload."""

import importlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import nbgraph as nb
from nbgraph.invocations.base import BaseInvocation, BaseInvocationOutput, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput, StringOutput


@dataclass(frozen=True)
class Edit:
    """A cell, the cell that changes something, and whether the node has to run again."""

    name: str
    cell: str
    change: str
    runs_again: bool = True


class Notebook:
    """Runs the cells of one edit in a module of their own, as a kernel does."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.main = ModuleType(f"cells_{number}")
        sys.modules[self.main.__name__] = self.main
        names = (BaseInvocation, BaseInvocationOutput, InvocationContext, IntegerOutput, StringOutput, invocation)
        vars(self.main).update({"nb": nb, "module": self._module, **{each.__name__: each for each in names}})
        self._cells = 0
        self._folder = tempfile.TemporaryDirectory()
        sys.path.insert(0, self._folder.name)

    def run(self, cell: str) -> None:
        """Run a cell; each has another file name."""
        self._cells += 1
        code = compile(self._own(cell), f"<cell {self.number}.{self._cells}>", "exec")
        exec(code, vars(self.main))

    @property
    def target(self) -> BaseInvocation:
        """The node to run: what the cells call `TARGET`, or a node with the usual inputs."""
        made = vars(self.main).get("TARGET")
        return made() if made is not None else vars(self.main)[self._own("NODE")](id="node")

    def close(self) -> None:
        """Let nothing of the edit be found by later ones."""
        sys.path.remove(self._folder.name)
        self._folder.cleanup()
        for name in [name for name in sys.modules if name.endswith(f"_{self.number}") and "cells" not in name]:
            del sys.modules[name]

    def _own(self, text: str) -> str:
        return text.replace("NODE", f"edited_{self.number}").replace("helpers", f"helpers_{self.number}")

    def _module(self, name: str, text: str) -> ModuleType:
        """Write a module and import it, or reload it if it is imported already."""
        (Path(self._folder.name) / f"{name}.py").write_text(self._own(text))
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        return importlib.reload(sys.modules[name]) if name in sys.modules else importlib.import_module(name)
