"""Facts about one piece of compiled code: a digest of all it does, and the names by which it reaches anything else.

The digest covers the instructions with the constants and names they use, jump distances, the exception table, the
flags and the parameters, of nested code too. It leaves out file names, line numbers and docstrings, and constants that
no instruction uses, so comments and moved lines change nothing.

A name is followed by the attributes that are taken of it at once: `helpers.blur.scale(x)` reaches the chain
`("blur", "scale")` of the global `helpers`.
"""

import dis
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from types import CodeType
from typing import Any, cast

Chain = tuple[str, ...]
Chains = frozenset[Chain]
DIGEST_BYTES = 16
_HAS_DOCSTRING = 0x4000000
"""A flag of newer compilers that says no more than that there is a docstring."""
_LAYOUT = frozenset({"CACHE", "EXTENDED_ARG", "NOP"})
"""Instructions that only hold room or line numbers."""
_NAMED = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_ENCLOSED = ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")
_ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")


@dataclass(frozen=True)
class Import:
    """An import inside of code: `from ..helpers import blur` has level 2, module `helpers` and names `("blur",)`."""

    module: str
    level: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class CodeFacts:
    """`names` are globals and builtins, `enclosed` the variables of surrounding functions, each with its chains.

    `written` are the globals, and the enclosed variables, that the code assigns or deletes. `attributes` are all
    attributes it takes of anything.
    """

    digest: bytes
    names: Mapping[str, Chains]
    enclosed: Mapping[str, Chains]
    written: tuple[str, ...]
    imports: tuple[Import, ...]
    attributes: frozenset[str]


@dataclass
class _Reading:
    """The facts that were found so far."""

    names: dict[str, set[Chain]] = field(default_factory=dict[str, set[Chain]])
    enclosed: dict[str, set[Chain]] = field(default_factory=dict[str, set[Chain]])
    written: set[str] = field(default_factory=set[str])
    imports: list[Import] = field(default_factory=list[Import])
    attributes: set[str] = field(default_factory=set[str])


@lru_cache(maxsize=4096)
def facts_of(code: CodeType) -> CodeFacts:
    """Return the facts of a code object, read once for equal ones."""
    found = _Reading()
    digest = blake2b(digest_size=DIGEST_BYTES)
    parameters = code.co_varnames[: _parameters(code)]
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    head = (counts, code.co_flags & ~_HAS_DOCSTRING, parameters, code.co_freevars, code.co_cellvars)
    digest.update(repr(head).encode())
    digest.update(code.co_exceptiontable)
    for text in _instructions(code, found):
        digest.update(text)
    for nested in code.co_consts:
        if isinstance(nested, CodeType):
            _add_nested(code, facts_of(nested), found)
    own = set(code.co_freevars)
    return CodeFacts(
        digest.digest(),
        {name: frozenset(found.names[name]) for name in sorted(found.names)},
        {name: frozenset(found.enclosed[name]) for name in sorted(found.enclosed) if name in own},
        tuple(sorted(found.written)),
        tuple(sorted(set(found.imports), key=repr)),
        frozenset(found.attributes),
    )


def constant_text(value: object) -> bytes:
    """Return a constant of code as text: equal for equal ones of equal types, and the same in every process."""
    if isinstance(value, CodeType):
        return b"code:" + facts_of(value).digest
    if isinstance(value, tuple):
        return b"(" + b",".join(map(constant_text, cast(tuple[object, ...], value))) + b")"
    if isinstance(value, frozenset):
        return b"{" + b",".join(sorted(map(constant_text, cast(frozenset[object], value)))) + b"}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"int:{value:x}".encode()
    return f"{type(value).__name__}:{value!r}".encode("utf-8", "surrogatepass")


def _parameters(code: CodeType) -> int:
    """Return how many of the local variables are parameters."""
    variadic = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    return code.co_argcount + code.co_kwonlyargcount + variadic


def _instructions(code: CodeType, found: _Reading) -> Iterator[bytes]:
    """Yield each instruction as text, and note what it reaches."""
    chain: list[str] | None = None
    chains: dict[str, set[Chain]] = {}
    name = ""
    constants: list[Any] = [0, None]  # what IMPORT_NAME takes: the level and the names
    for each in dis.get_instructions(code):
        if each.opname in _LAYOUT:
            continue
        if each.opname in _ATTRIBUTE and isinstance(each.argval, str):
            found.attributes.add(each.argval)
            if chain is not None:
                chain.append(each.argval)
        else:
            if chain is not None:
                chains.setdefault(name, set()).add(tuple(chain))
            chain = None
            if each.opname in _NAMED:
                chains, name, chain = found.names, each.argval, []
            elif each.opname in _ENCLOSED:
                chains, name, chain = found.enclosed, each.argval, []
            elif each.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
                each.opname in ("STORE_DEREF", "DELETE_DEREF") and each.argval in code.co_freevars
            ):
                found.written.add(each.argval)
            elif each.opname == "IMPORT_NAME":
                level, names = constants[-2:]
                found.imports.append(Import(each.argval, level if isinstance(level, int) else 0, names or ()))
            elif each.opname == "IMPORT_FROM":
                found.attributes.add(each.argval)
        if each.opcode in dis.hasconst:
            constants.append(each.argval)
        yield _instruction_text(each)


def _instruction_text(each: dis.Instruction) -> bytes:
    name = each.opname.encode()
    if each.opcode in dis.hasconst:
        return name + b" " + constant_text(each.argval) + b"\n"
    if each.opcode in dis.hasjrel or each.opcode in dis.hasjabs:
        return name + f" {each.argval - each.offset}\n".encode()
    named = each.opcode in dis.hasname or each.opcode in dis.haslocal or each.opcode in dis.hasfree
    return name + f" {each.argval if named else each.arg}\n".encode("utf-8", "surrogatepass")


def _add_nested(code: CodeType, nested: CodeFacts, found: _Reading) -> None:
    """Count what nested code reaches as reached by the code around it."""
    for name, chains in nested.names.items():
        found.names.setdefault(name, set()).update(chains)
    for name, chains in nested.enclosed.items():
        found.enclosed.setdefault(name, set()).update(chains)
    found.written.update(name for name in nested.written if name not in code.co_cellvars)
    found.imports.extend(nested.imports)
    found.attributes.update(nested.attributes)
