"""History: what was changed, and what takes it back. Edits of one field in a row are one step."""

from dataclasses import dataclass

from nbgraph.widgets.changes import Change, merged

DEPTH = 64
GROUP_SECONDS = 2.0


@dataclass(frozen=True)
class Step:
    """One step of undo: the changes made, those that take them back, and the group that later ones may join."""

    forward: list[Change]
    backward: list[Change]
    group: str
    seconds: float


class History:
    """Undo and redo, 64 steps deep, for both authors."""

    def __init__(self) -> None:
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def add(self, step: Step) -> None:
        """A step was made; what had been undone is forgotten."""
        self._undone.clear()
        last = self._done[-1] if self._done else None
        if last and step.group and step.group == last.group and step.seconds - last.seconds < GROUP_SECONDS:
            forward, backward = merged(last.forward + step.forward), merged(step.backward + last.backward)
            self._done[-1] = Step(forward, backward, step.group, step.seconds)
            return
        self._done.append(step)
        del self._done[:-DEPTH]

    def undo(self) -> Step | None:
        """The step to take back, now counted as taken back; None if there is none."""
        return self._move(self._done, self._undone)

    def redo(self) -> Step | None:
        """The step to make again; None if there is none."""
        return self._move(self._undone, self._done)

    @property
    def depths(self) -> tuple[int, int]:
        """(steps that can be undone, steps that can be made again)"""
        return len(self._done), len(self._undone)

    @staticmethod
    def _move(source: list[Step], target: list[Step]) -> Step | None:
        if not source:
            return None
        step = source.pop()
        target.append(step)
        return step
