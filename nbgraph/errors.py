"""The errors of nbgraph. A message says what was given, where, what is possible and what to do.

NbgraphError
  GraphError                a graph cannot run; .problems lists everything wrong with it
    IterationLimitError     it would make too many prepared nodes
  NodeError                 a node failed while it ran
  TargetError, ChoiceError, SettingsError, PositionalError, InvalidNameError     wrong arguments
  UnknownNodeTypeError, NotFoundError                                            nothing of that name
  CancelledError, OwnWorkerError, ClusterError                                   about runs
  ModelError, ModelNotFoundError, ImageModeError                                 models and images
  ArchiveError, DamagedRecordError                                               files brought in
  StoreError                a studio's folder cannot be read or written
    StoreBusyError, StoreFullError, StoreReadOnlyError, StoreGoneError, StoreCorruptError,
    StoreTooNewError, ForkedStoreError
    ResourceFileError       the file of an image or of tensors: ResourceFileMissingError, ResourceFileCorruptError
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from nbgraph.texts import value_text


class NbgraphError(Exception):
    """Base of all errors of nbgraph. IPython shows its message alone, without a page of frames."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the text and the attributes.

        An exception is otherwise rebuilt by calling its class with its text, which an `__init__` with other arguments
        refuses; a `multiprocessing.Pool` then waits for ever.
        """
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(error_class: type[NbgraphError], args: tuple[Any, ...], state: dict[str, Any]) -> NbgraphError:
    # Past `__init__`, whose arguments are not known here.
    error = error_class.__new__(error_class, *args)
    error.__dict__.update(state)
    return error


class NbgraphWarning(UserWarning):
    """A fact about a result that is still valid."""


def suggest(given: str, possible: Iterable[str], limit: int = 20) -> str:
    """Return the end of an error message that names what was probably meant: `"; did you mean 'width'?"`.

    Names that are near `given` are listed alone, at most three. If none is, all are listed where they are few:
    `" (possible: height, width)"`. A name that is already quoted, as a repr is, is not quoted again.

    Parameters
    ----------
    given
        What was given.
    possible
        The names that are accepted.
    limit
        The number of names up to which all of them are listed.
    """
    names = sorted(possible)
    if near := _near_names(given, names):
        quoted = [name if name[:1] in ("'", '"') else repr(name) for name in near]
        return f"; did you mean {' or '.join(filter(None, [', '.join(quoted[:-1]), quoted[-1]]))}?"
    if len(names) > limit:
        return f" (none of the {len(names)} possible ones is like it)"
    return f" (possible: {', '.join(names) or 'none'})"


def _near_names(given: str, names: Iterable[str]) -> list[str]:
    """Return the names that are like `given`, the nearest first."""
    # Quotes of a repr would make any two short names alike.
    plain: dict[str, list[str]] = {}
    for name in names:
        plain.setdefault(name.casefold().strip("'\""), []).append(name)
    wanted = given.casefold().strip("'\"")
    # A second guess must be nearer than an only one: a far one distracts from the first.
    near = get_close_matches(wanted, plain, n=3, cutoff=0.7) or get_close_matches(wanted, plain, n=1, cutoff=0.6)
    return [name for each in near for name in plain[each]][:3]


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a graph: its kind, its node and field, and a message with the remedy."""

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
    """A graph cannot run as it is; `problems` lists everything that is wrong with it."""

    SHOWN = 20

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            lines.append(f"... and {len(self.problems) - self.SHOWN} more in .problems")
        heading = "" if len(lines) == 1 else f"{len(self.problems)} problems\n  "
        super().__init__(heading + "\n  ".join(lines))


class IterationLimitError(GraphError):
    """A graph would make more prepared nodes than `Settings.max_iterations`; raised before anything is allocated."""

    def __init__(self, node: str, count: int, limit: int) -> None:
        self.count, self.limit = count, limit
        text = (
            f"would run {count:,} times, over the limit of {limit:,}; shorten a list, or raise Settings.max_iterations"
        )
        super().__init__([Problem("iteration_limit", text, node)])


class TargetError(NbgraphError, TypeError):
    """The thing to run, edit or explain is neither a graph nor nodes."""

    def __init__(self, given: object) -> None:
        # The two usual mistakes get the line that was meant.
        if isinstance(given, type):
            shown = f"the class {given.__name__}; make a node of it: {given.__name__}(...)"
        elif isinstance(given, str):
            shown = f"{given!r}; nb.Graph.from_json(text) reads one, studio.form(name) finds one by name"
        else:
            shown = value_text(given)
        super().__init__(f"a studio takes a node, a list of nodes, or a graph, not {shown}")


class ChoiceError(NbgraphError, ValueError):
    """An argument has a value that it does not accept; the message lists the accepted ones."""

    def __init__(self, argument: str, given: object, possible: Iterable[str]) -> None:
        shown = value_text(given)
        super().__init__(f"{argument} cannot be {shown}{suggest(shown, possible)}")


class SettingsError(NbgraphError, ValueError):
    """Settings are unknown or have invalid values; the message lists all of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))


class PositionalError(NbgraphError, TypeError):
    """The inputs of a node were given by position; a node takes them by name."""

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
    """Return a message with a line that says where a person's own code failed, if that is known."""
    return f"{message}\n  at: {place}" if place else message


class NodeError(NbgraphError):
    """A node raised an exception while it ran. It keeps only texts, because an exception keeps tensors alive.

    Attributes
    ----------
    node, type
        The id of the prepared node, such as `denoise[1,0]`, and its type.
    message
        The message of the exception.
    inputs
        The node's inputs, shortened.
    traceback
        The text of the traceback.
    place
        The last line of a person's own code that ran, such as `cell [5], line 3, in tint: return 1 / strength`. Empty
        if none of it ran.
    """

    def __init__(
        self, node: str, type: str, message: str, inputs: dict[str, str], traceback: str = "", place: str = ""
    ) -> None:
        self.node, self.type, self.message, self.inputs, self.traceback = node, type, message, inputs, traceback
        self.place = place
        given = ", ".join(f"{name}={value}" for name, value in inputs.items())
        super().__init__(f"node {node!r} ({type}) failed: {with_place(message, place)}\n  inputs: {given or 'none'}")


class CancelledError(NbgraphError):
    """A run was cancelled; finished results are kept."""


class ClusterError(NbgraphError):
    """A cluster, or one of its workers, cannot be used; the message says which, why, and what to do."""


class OwnWorkerError(NbgraphError):
    """A node waits for a run of the studio that is running the node: it would wait for itself."""

    def __init__(self) -> None:
        super().__init__(
            "a node cannot run a graph in the studio that runs the node: it would wait for itself; link the inner nodes"
            " to its inputs, make a library graph of them, or run them in a studio of their own, nb.Studio()"
        )


class NotFoundError(NbgraphError, KeyError):
    """A service stores nothing of that name."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        return self.message


class InvalidNameError(NbgraphError, ValueError):
    """A text cannot be the name of an image or of tensors (32 hexadecimal digits), or of a document."""


class ImageModeError(NbgraphError, ValueError):
    """An image has a mode that cannot be stored without loss."""


class ModelError(NbgraphError):
    """A model cannot be used; the message names the model, the reason and the remedy."""


class ModelNotFoundError(ModelError):
    """No model of that name is known."""


class StoreError(NbgraphError):
    """A studio's folder cannot be read or written; the message names the file and the remedy."""


class StoreBusyError(StoreError):
    """Another kernel kept the database locked for too long; trying again is safe."""


class StoreCorruptError(StoreError):
    """The database is damaged. It was left as it is, and the message names the newest backup."""


class ArchiveError(NbgraphError, ValueError):
    """An archive of runs cannot be written, or is not valid; nothing of it was imported."""


class RecipeError(NbgraphError, ValueError):
    """An image or file holds no recipe that can be read; the message says what was found and what is possible."""


class StoreTooNewError(StoreError):
    """A newer nbgraph wrote the database; nothing was changed."""

    def __init__(self, path: object, found: int, supported: int) -> None:
        self.found, self.supported = found, supported
        text = f"{path} was written by a newer nbgraph (format {found}, this one knows up to {supported})"
        super().__init__(f"{text}; upgrade nbgraph, or open another folder")


class DamagedRecordError(NbgraphError, ValueError):
    """A stored record is damaged. The others are not, and lists leave it out."""


class StoreFullError(StoreError):
    """The disk or the quota is full; everything stored before is safe."""


class StoreReadOnlyError(StoreError):
    """The folder, or a file in it, is not writable."""


class StoreGoneError(StoreError):
    """The database file was deleted or replaced while it was open."""


class ForkedStoreError(StoreError):
    """A database was used in a forked process; a connection does not survive a fork."""


class ResourceFileError(StoreError):
    """The file of an image or of tensors cannot be used; cached results that name it are computed again."""


class ResourceFileMissingError(ResourceFileError, KeyError):
    """A record exists, but its file does not."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote it


class ResourceFileCorruptError(ResourceFileError):
    """A file was changed after it was saved: its size or its SHA-256 differs from the record."""


@dataclass
class Problems:
    """Collects problems, to raise them together."""

    found: list[Problem] = field(default_factory=list[Problem])

    def add(self, kind: str, message: str, node: str | None = None, field: str | None = None) -> None:
        self.found.append(Problem(kind, message, node, field))

    def raise_any(self) -> None:
        """Raise `GraphError` with all problems found, if there are any."""
        if self.found:
            raise GraphError(self.found)
