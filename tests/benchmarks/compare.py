"""Compare what two commits cost: `python tests/benchmarks/compare.py COMMIT`, the working tree against that commit.

The measures of `measures.py` run in fresh processes, on the two trees in turn, so that both meet the same machine;
which comes first changes from round to round. Printed are the medians, and the median and range of the rounds' ratios.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
Figures = dict[str, float]
NAMES = (
    *("runs", "growth", "memory", "folder_runs", "lists", "invalidation", "sweeps"),
    *("first_studio", "first_picture", "busy", "pictures", "real_sizes"),
)


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Give a folder with the tree of a commit."""
    with TemporaryDirectory() as parent:
        tree = Path(parent) / "tree"
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", tree, commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=True)


def measured(tree: Path, name: str) -> Figures:
    """Measure one round with the nbgraph of a tree, by the measures of this one."""
    path = os.pathsep.join(map(str, (tree, HERE.parent, HERE)))
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, HERE / "measures.py", name],
            env={**os.environ, "PYTHONPATH": path},
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}


def compared(base: Path, names: list[str], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Measure both trees in turn; pairs (that commit, this tree) of every figure that both have."""
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for name in names:
            trees = [base, ROOT] if number % 2 else [ROOT, base]
            figures = {tree: measured(tree, name) for tree in trees}
            for figure in figures[base].keys() & figures[ROOT].keys():
                found.setdefault(figure, []).append((figures[base][figure], figures[ROOT][figure]))
    return found


def table(found: dict[str, list[tuple[float, float]]]) -> Iterator[str]:
    """Give the lines of the table."""
    yield f"{'':<40}{'base':>10}{'here':>10}{'ratio':>8}  range of ratios"
    for name in sorted(found):
        pairs = found[name]
        base, here = (median(column) for column in zip(*pairs))
        ratios = [after / before for before, after in pairs if before > 0]
        if ratios:
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            yield f"{name:<40}{base:>10.3g}{here:>10.3g}{median(ratios):>8.2f}  {spread}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measures", default="runs", help=f"some of {','.join(NAMES)}, or all")
    given = parser.parse_args()
    names: list[str] = [*NAMES] if given.measures == "all" else given.measures.split(",")
    if unknown := set(names) - set(NAMES):
        parser.error(f"there is no measure {', '.join(sorted(unknown))}; there is {', '.join(NAMES)}")
    with checked_out(given.commit) as base:
        for line in table(compared(base, names, given.rounds)):
            print(line)


if __name__ == "__main__":
    main()
