"""What `nbgraph doctor` does."""

from pathlib import Path

from nbgraph.doctor import report


def doctor(folder: Path | None) -> int:
    """Print the report."""
    print(report(folder))
    return 0
