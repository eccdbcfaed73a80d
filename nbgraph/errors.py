"""Every error nbgraph raises on purpose: each says what was given, where, what is possible and what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from nbgraph.texts import value_text


class NbgraphError(Exception):
    """The base of all errors of nbgraph; IPython shows it as its message alone, without a page of frames."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle text and attributes as they are: pools of processes send errors so.

        An exception is otherwise made anew from its text alone, which an `__init__` with other arguments refuses; a
        `multiprocessing.Pool` then waits for ever.
        """
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(error_class: type[NbgraphError], args: tuple[Any, ...], state: dict[str, Any]) -> NbgraphError:
    error = error_class.__new__(error_class, *args)
    error.__dict__.update(state)
    return error


class NbgraphWarning(UserWarning):
    """Something a person should know about a result that is still good."""


def suggest(given: str, possible: Iterable[str], limit: int = 20) -> str:
    """`"; did you mean 'width'? (possible: height, width)"`, for the end of an error message.

    A name that comes in quotes, as the repr of a text does, is not put in quotes again.
    """
    names = sorted(possible)
    near = get_close_matches(given, names, n=1, cutoff=0.5)
    quoted = [name if name[:1] in ("'", '"') else repr(name) for name in near]
    hint = f"; did you mean {quoted[0]}?" if quoted else ""
    shown = ", ".join(names[:limit]) + (f", and {len(names) - limit} more" if len(names) > limit else "")
    return f"{hint} (possible: {shown or 'none'})"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a graph: where it is, what is wrong, and what to do about it."""

    kind: str
    message: str
    node: str | None = None
    field: str | None = None

    def __str__(self) -> str:
        where = self.node or "graph"
        if self.field:
            where += f".{self.field}"
        return f"{where}: {self.message}"


class GraphError(NbgraphError, ValueError):
    """A graph cannot run as it is; `problems` lists everything that is wrong with it, not only the first thing."""

    SHOWN = 20

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            lines.append(f"... and {len(self.problems) - self.SHOWN} more in .problems")
        heading = "" if len(lines) == 1 else f"{len(self.problems)} problems\n  "
        super().__init__(heading + "\n  ".join(lines))


class IterationLimitError(GraphError):
    """A graph would make more prepared nodes than the limit allows; refused before anything is allocated."""

    def __init__(self, node: str, count: int, limit: int) -> None:
        self.count, self.limit = count, limit
        text = (
            f"would run {count:,} times, over the limit of {limit:,}; shorten a list, or raise Settings.max_iterations"
        )
        super().__init__([Problem("iteration_limit", text, node)])


class TargetError(NbgraphError, TypeError):
    """What a studio was given to run, edit or explain is neither nodes nor a graph."""

    def __init__(self, given: object) -> None:
        if isinstance(given, type):
            shown = f"the class {given.__name__}; make a node of it: {given.__name__}(...)"
        elif isinstance(given, str):
            shown = f"{given!r}; nb.Graph.from_json(text) reads one, studio.form(name) finds one by name"
        else:
            shown = value_text(given)
        super().__init__(f"a studio takes a node, a list of nodes, or a graph, not {shown}")


class ChoiceError(NbgraphError, ValueError):
    """An argument was given a value that it does not take; `possible` are those that it takes, as they are shown."""

    def __init__(self, argument: str, given: object, possible: Iterable[str]) -> None:
        shown = value_text(given)
        super().__init__(f"{argument} cannot be {shown}{suggest(shown, possible)}")


class SettingsError(NbgraphError, ValueError):
    """Settings are unknown, or have values that they do not take; all of them are told."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))


class PositionalError(NbgraphError, TypeError):
    """Inputs of a node were given by place; a node takes them by name."""

    def __init__(self, node_class: str, given: Sequence[object], inputs: Iterable[str], named: Iterable[str]) -> None:
        names = list(inputs)
        left = [name for name in names if name not in set(named)]
        call = ", ".join(f"{name}={value_text(value, 40)}" for name, value in zip(left, given))
        text = f"{node_class} takes its inputs by name: write {node_class}({call})"
        super().__init__(f"{text} (inputs: {', '.join(names) or 'none'})")


class UnknownNodeTypeError(NbgraphError, KeyError):
    """No node of that type is registered."""

    def __init__(self, type_name: str, possible: Iterable[str]) -> None:
        self.type_name = type_name
        self.message = f"no node of type {type_name!r}{suggest(type_name, possible)}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


def with_place(message: str, place: str) -> str:
    """The message, and in a line of its own where a person's own code failed, if that is known."""
    return f"{message}\n  at: {place}" if place else message


class NodeError(NbgraphError):
    """A node raised while it ran. It keeps texts, never the exception itself, which would keep tensors alive.

    `place` is the last line of a person's own code that ran, `cell [5], line 3, in tint: return 1 / strength`; it is
    empty where none of it ran, as in the nodes of nbgraph.
    """

    def __init__(
        self, node: str, type: str, message: str, inputs: dict[str, str], traceback: str = "", place: str = ""
    ) -> None:
        self.node, self.type, self.message, self.inputs, self.traceback = node, type, message, inputs, traceback
        self.place = place
        given = ", ".join(f"{name}={value}" for name, value in inputs.items())
        super().__init__(f"node {node!r} ({type}) failed: {with_place(message, place)}\n  inputs: {given or 'none'}")


class CancelledError(NbgraphError):
    """A run was cancelled; what had finished is kept."""


class OwnWorkerError(NbgraphError):
    """A node waits for a run of the studio that runs the node: it would wait for itself."""

    def __init__(self) -> None:
        super().__init__(
            "a node cannot run a graph in the studio that runs the node: it would wait for itself; link the inner nodes"
            " to its inputs, make a library graph of them, or run them in a studio of their own, nb.Studio()"
        )


class NotFoundError(NbgraphError, KeyError):
    """A service holds nothing of that name."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        return self.message


class InvalidNameError(NbgraphError, ValueError):
    """A name that no service ever made: names of resources are 32 hexadecimal digits."""


class ImageModeError(NbgraphError, ValueError):
    """A picture of a mode that cannot be kept without loss."""


class ModelError(NbgraphError):
    """A model cannot be used: what was given, why not, and what to do."""


class ModelNotFoundError(ModelError):
    """No model of that name is known."""


class StoreError(NbgraphError):
    """A studio's folder cannot be read or written: what happened, to which file, and what to do."""


class StoreBusyError(StoreError):
    """Another kernel kept the store locked for longer than one waits; trying again is safe."""


class StoreCorruptError(StoreError):
    """The database of a studio's folder is damaged; it was left as it is, and the newest backup is named."""


class ArchiveError(NbgraphError, ValueError):
    """A zip of runs cannot be written, or is not in order; then nothing of it was brought in."""


class RecipeError(NbgraphError, ValueError):
    """A picture or file holds no recipe that can be read: what was found, where, and what is possible."""


class StoreTooNewError(StoreError):
    """A newer nbgraph wrote the database; nothing was changed."""

    def __init__(self, path: object, found: int, supported: int) -> None:
        self.found, self.supported = found, supported
        text = f"{path} was written by a newer nbgraph (format {found}, this one knows up to {supported})"
        super().__init__(f"{text}; upgrade nbgraph, or open another folder")


class DamagedRecordError(NbgraphError, ValueError):
    """A record in a studio's folder is not what was written; the others are whole, and lists leave it out."""


class StoreFullError(StoreError):
    """The disk, or the quota, is full; what was acknowledged before is kept."""


class StoreReadOnlyError(StoreError):
    """The folder, or a file in it, may not be written."""


class StoreGoneError(StoreError):
    """The database file was deleted or replaced while it was open."""


class ForkedStoreError(StoreError):
    """A store was used in a forked process; a connection to a database does not survive a fork."""


class ResourceFileError(StoreError):
    """The file of a picture or of tensors cannot be used; cached results that name it are computed anew."""


class ResourceFileMissingError(ResourceFileError, KeyError):
    """A record is there, and its file is gone."""

    def __str__(self) -> str:
        return str(self.args[0])


class ResourceFileCorruptError(ResourceFileError):
    """A file is not what was saved: its size or its SHA-256 differ from its record."""


@dataclass
class Problems:
    """Collects problems while a graph is looked at, to raise them together."""

    found: list[Problem] = field(default_factory=list)

    def add(self, kind: str, message: str, node: str | None = None, field: str | None = None) -> None:
        self.found.append(Problem(kind, message, node, field))

    def raise_any(self) -> None:
        """Raise `GraphError` with all that was found, if anything was."""
        if self.found:
            raise GraphError(self.found)
