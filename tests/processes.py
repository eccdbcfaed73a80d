"""Processes that draw at once: forked from one that has imported torch, diffusers and nbgraph already.

For tests of what a program does. What a program imports, and when, and how it ends beside that, is for tests in
processes that are really fresh: `subprocess.run([sys.executable, ...])`.
"""

import atexit
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from types import ModuleType

PRELOADED = [
    "nbgraph.cli.app",
    "nbgraph.studio",
    "nbgraph.invocations",
    "nbgraph.diffusion.description",
    "nbgraph.diffusion.model_cache",
    "nbgraph.diffusion.denoising",
    "diffusers.pipelines.stable_diffusion",
]
_server = get_context("forkserver")
_server.set_forkserver_preload(PRELOADED)


def run_python(*arguments: str | Path, cwd: Path, timeout: float = 120) -> CompletedProcess[str]:
    """Do what `python *arguments` does: `-c CODE ...`, `-m MODULE ...` or `FILE ...`; return how it ended."""
    words = [*map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "stdout"), Path(folder, "stderr")
        process = _server.Process(target=_run, args=(words, str(out), str(err), str(cwd), dict(os.environ)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutExpired(words, timeout)
        return CompletedProcess(words, process.exitcode, out.read_text("utf-8"), err.read_text("utf-8"))


def _run(words: Sequence[str], out: str, err: str, cwd: str, environment: Mapping[str, str]) -> None:
    """Become the program that the words name, with nothing to read, and files to write to."""
    for number, (path, mode) in enumerate([(os.devnull, "r"), (out, "w"), (err, "w")]):
        with open(path, mode) as file:
            os.dup2(file.fileno(), number)
    sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, range(3), "rww")
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    try:
        _main(*words)
    finally:
        atexit._run_exitfuncs()  # what multiprocessing leaves out


def _main(how: str, *words: str) -> None:
    if how == "-m":
        sys.argv, sys.path[0] = [*words], os.getcwd()
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    elif how == "-c":
        sys.argv, sys.path[0] = ["-c", *words[1:]], ""
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(words[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv, sys.path[0] = [how, *words], str(Path(how).parent)
        runpy.run_path(how, run_name="__main__")
