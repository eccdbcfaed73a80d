"""The code part of a cache key: a hash of everything a node's class reaches, so that no result is of other code.

**What counts.** For each class of the node's bases up to `BaseInvocation`: its methods, properties and constants, its
fields with their annotations, limits, defaults and validators, and its output class. For each function: the compiled
code, defaults, annotations, attributes (with them what a decorator wraps) and enclosed values. From there on the
functions, classes and values of a person's own modules, `__main__` and its cells too, that code reaches by global names
and by chains of attributes on modules. Values count by content.

    FACTOR = 2                                  Shout
                                                  ├─ shout          code, defaults
    def louder(text): return text * FACTOR        ├─ louder         code
                                                  └─ FACTOR         2
    @nb.node
    def shout(text: str) -> str: ...louder(text)

**What counts by name and version.** Installed packages, the standard library (by Python's version, `3.11`) and nbgraph.
Of nodes that are installed, the code of their own methods counts too, and the versions of the packages they use.

**What does not count.** Comments, docstrings, layout, line numbers, names of files and cells. What is read while the
node runs: files, the network, environment variables, the clock. The contents of a `functools.cache`. A list, set or
dict to which all code only appends: nobody reads it.

**What cannot be hashed** is not cached, unless `use_cache=True` was set: open files, locks, generators, values of more
than 64 MB or 100,000 parts, compiled code of one's own, code that assigns a global or an enclosed variable, that calls
`eval`, `exec`, `globals`, `__import__` or `import_module`, or imports a module of one's own that is not imported yet,
and a `functools.cache` that holds results of code that has changed since it was hashed. `Code.refusal` says which.

**When.** At the beginning of a run. The hash of a class is kept, with a `Watch` of everything that was read; while the
watch holds, nothing is hashed again. Where the code has changed at the end of a run, the results of that class from
this run are discarded: they may be of the old code or of the new one.

**Parts.** Each function, class and value has a label and a hash of its own, in which others appear by their labels, so
that circles need no care, and `explain` can name what changed.
"""

from nbgraph.services.invocation_cache.code_record import Code
from nbgraph.services.invocation_cache.code_walk import Walk

REMEDY = "give it as an input, or set use_cache=True on the node and raise version= when it changes"

_known: dict[type, Code] = {}


def code_of(cls: type) -> Code:
    """Return the code of a class as it is now: the same object as long as nothing it reaches has changed."""
    known = _known.get(cls)
    if known is not None and known.watch.holds():
        return known
    found = Walk(cls).read()
    if known is not None and known.says_the_same(found):
        known.watch = found.watch
        return known
    _known[cls] = found
    return found
