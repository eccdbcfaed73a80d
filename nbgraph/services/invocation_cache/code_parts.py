"""The parts of a walk: a label for each function, class and value that code reaches, and a hash for each label."""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import TypeVar

from nbgraph.services.invocation_cache.code_packages import package_of, version_of
from nbgraph.services.invocation_cache.code_record import OTHER_PARTS

Thing = TypeVar("Thing")
SHOWN_PARTS = 24
PART_BYTES = 8


@dataclass
class Part:
    """A part that has a label and no hash yet."""

    label: str
    thing: object
    write: Callable[[], None]
    """Writes the thing into the hash that is open."""
    is_value: bool = False


@dataclass
class Parts:
    """The parts found so far, those that wait to be hashed, and the packages that code reaches.

    `home` is the module whose names need no prefix. `kept` references things, so that no other one gets their identity.
    """

    home: str
    waiting: deque[Part] = field(default_factory=deque[Part])
    hashes: dict[str, object] = field(default_factory=dict[str, object])
    unnamed: set[str] = field(default_factory=set[str])
    packages: dict[str, str] = field(default_factory=dict[str, str])
    labels: dict[Hashable, str] = field(default_factory=dict[Hashable, str])
    kept: list[object] = field(default_factory=list[object])

    def add(
        self,
        key: Hashable,
        name: str,
        module: str | None,
        thing: Thing,
        write: Callable[[str, Thing], None],
        is_value: bool = False,
    ) -> str:
        """Return the label of a thing. One that has none gets it, and waits to be hashed.

        Parameters
        ----------
        key
            The identity of the thing.
        name, module
            What the label is made of; a number is added if another thing has it.
        write
            Called with the label and the thing, to write it into the hash of this part.
        is_value
            True for a value, which is shown as it is where it is short.
        """
        label = self.labels.get(key)
        if label is None:
            plain = name.replace("<locals>.", "")
            plain = plain if module in (self.home, None) else f"{module}.{plain}"
            label, number = plain, 1
            taken = set(self.labels.values())
            while label in taken:
                number += 1
                label = f"{plain} #{number}"
            self.labels[key] = label
            self.kept.append(thing)
            if package_of(module) is not None:
                self.unnamed.add(label)
            self.waiting.append(Part(label, thing, partial(write, label, thing), is_value))
        return label

    def note_package(self, package: str | None) -> None:
        """Record the version of an installed package; None is a person's own code."""
        if package is not None and package not in self.packages:
            self.packages[package] = version_of(package)

    def shown(self) -> dict[str, object]:
        """Return the first parts by name, and one hash for all others."""
        shown = [label for label in self.hashes if label not in self.unnamed][:SHOWN_PARTS]
        others = sorted((label, self.hashes[label]) for label in self.hashes if label not in shown)
        parts = {label: self.hashes[label] for label in shown}
        if others:
            text = repr(others).encode("utf-8", "surrogatepass")
            parts[OTHER_PARTS] = blake2b(text, digest_size=PART_BYTES).hexdigest()
        return parts
