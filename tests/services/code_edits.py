"""Edits of code, as a person makes them in cells and modules, each with what has to happen to a cached result.

An edit is a cell that defines `NODE`, and a change: the same cell with a text replaced, or another cell. `module(...)`
writes a module of the person's own and imports it, or reloads it.
"""
# One edit is one line, however long: so the list can be read down.
# ruff: noqa: E501
# fmt: off

from typing import Any

from edited_notebook import Edit, Notebook

from nbgraph.invocations.base import BaseInvocation
from nbgraph.services.invocation_cache.explanation import explain
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph

EDITS: list[Edit] = []
REASONS = ("code changed: ", "version 1", "node.x", "node.b")
"""What `explain` may say of a change: the code, the version, or an input whose default or kind it is."""


def swapped(name: str, cell: str, old: str, new: str, runs_again: bool = True) -> None:
    """An edit in which the cell runs again with a text replaced."""
    assert old in cell, f"{name}: {old!r} is not in the cell"
    EDITS.append(Edit(name, cell, cell.replace(old, new), runs_again))


def then(name: str, cell: str, change: str, runs_again: bool = True) -> None:
    """An edit in which another cell runs, and the cell of the node does not."""
    EDITS.append(Edit(name, cell, change, runs_again))


def unchanged(name: str, cell: str, old: str, new: str) -> None:
    """An edit after which the result stays cached."""
    swapped(name, cell, old, new, runs_again=False)


def node(body: str, before: str = "", inputs: str = "x: int = 3", gives: str = "str") -> str:
    """A cell with a function node."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{before}\n@nb.node\ndef NODE({inputs}) -> {gives}:\n{lines}"


def class_node(body: str, before: str = "", inside: str = "x: int = 3", bases: str = "BaseInvocation") -> str:
    """A cell with a class node; `inside` is what stands before `invoke`, and `body` gives the text it returns."""
    members = "".join(f"    {line}\n" for line in inside.splitlines())
    return (
        f'from typing import ClassVar\n{before}\n@invocation("NODE", version="1.0.0")\nclass NODE({bases}):\n{members}\n'
        f"    def invoke(self, context: InvocationContext) -> StringOutput:\n        return StringOutput(value=str({body}))\n"
    )


# code of the function itself

swapped("a constant", node("return str(x + 1)"), "x + 1", "x + 2")
swapped("an operator", node("return str(x + 2)"), "x + 2", "x * 2")
swapped("a type of constant", node("return str(x * 1)"), "* 1", "* 1.0")
swapped("the sign of zero", node("return str(x * 0.0)"), "0.0", "-0.0")
swapped("an attribute", node("return 'Ab'.upper()"), "upper", "lower")
swapped(
    "else of a try",
    node("try:\n    x = 1 // (x - 3)\n    x = 1 // (x - 3)\nexcept ZeroDivisionError:\n    return 'caught'\nreturn str(x)"),
    "        x = 1 // (x - 3)\n    except",
    "        x = 0 // 1\n    except",
)
swapped(
    "what a try covers",
    node("try:\n    a = 1\n    b = int('q')\nexcept ValueError:\n    return 'caught'\nreturn str(x)"),
    "        b = int('q')\n    except ValueError:\n        return 'caught'\n",
    "    except ValueError:\n        return 'caught'\n    else:\n        b = int('q')\n",
)
swapped("an f-string", node("return f'{x} apples'"), "apples", "pears")
swapped("a format", node("return f'{x:03d}'"), "03d", "05d")
swapped("a comprehension", node("return str([n * 2 for n in range(x)])"), "n * 2", "n * 3")
swapped("a lambda inside", node("f = lambda n: n + 1\nreturn str(f(x))"), "n + 1", "n + 5")
swapped("a function inside", node("def f(n):\n    return n + 1\nreturn str(f(x))"), "n + 1", "n + 5")
swapped("a class inside", node("class A:\n    k = 1\nreturn str(A.k)"), "k = 1", "k = 2")
swapped("a match statement", node("match x:\n    case 3:\n        return 'three'\nreturn 'no'"), "case 3", "case 4")
swapped("a match of keys", node("match {'a': x}:\n    case {'a': y}:\n        return 'a'\nreturn 'no'"), "{'a': y}", "{'b': y}")
swapped("a set constant", node("return str(x in {1, 2, 3})"), "{1, 2, 3}", "{1, 2, 4}")
swapped("an import inside", node("from math import floor as f\nreturn str(f(x / 2))"), "floor", "ceil")
swapped("a keyword argument", node("return str(round(x / 7, ndigits=1))"), "ndigits=1", "ndigits=2")
swapped("a walrus and a branch", node("return 'big' if (y := x) > 2 else 'small'"), "> 2", "> 5")
swapped("a generator inside", node("return str(sum(n for n in range(x)))"), "range(x)", "range(x + 1)")
swapped("a star of arguments", node("return str(max(*[x, 1]))"), "max", "min")

# signatures

swapped("a default", node("return str(x)"), "x: int = 3", "x: int = 4")
swapped("an annotation", node("return repr(x)", inputs="x: int = 3"), "x: int", "x: float")
swapped("an annotation to a text", node("return repr(x)"), "x: int = 3", "x: str = '3'")
swapped("a return type", node("return x", gives="int"), "-> int", "-> float")
swapped("the order of parameters", node("return str(x - y)", inputs="x: int = 3, y: int = 1"), "x - y", "y - x")
PAIR = "from typing import NamedTuple\nclass Pair(NamedTuple):\n    a: int\n    b: int = 7"
swapped("a field of a NamedTuple renamed", node("return Pair(1, 2)", PAIR, gives="Pair"), "    a: int", "    c: int")
swapped("fields of a NamedTuple swapped", node("return Pair(b=2, a=1)", PAIR, gives="Pair"), "    a: int\n    b: int = 7", "    b: int\n    a: int = 7")
swapped("a default of a NamedTuple", node("return Pair(1)", PAIR, gives="Pair"), "= 7", "= 8")
swapped("a type of a NamedTuple", node("return Pair(1, 2)", PAIR, gives="Pair"), "a: int", "a: float")
swapped("a type alias of an input", node("return repr(x)", "Number = int", "x: Number = 3"), "Number = int", "Number = float")
swapped("a literal choice", node("return repr(x)", "from typing import Literal", "x: Literal[3, 4] = 3"), "[3, 4]", "[3, 4, 5]")
RULE = "from typing import Annotated\nfrom pydantic import AfterValidator, Field\ndef rule(v):\n    return v + 1"
OVER_AN_EDGE = "\nfrom nbgraph.invocations import Add\nTARGET = lambda: NODE(x=Add(a=1, b=2, id='add'), id='node')\n"
swapped("a validator over an edge", node("return str(x)", RULE, "x: Annotated[int, AfterValidator(rule)]") + OVER_AN_EDGE, "v + 1", "v + 9")
swapped("a validator added", node("return str(x)", RULE, "x: int") + OVER_AN_EDGE, "x: int", "x: Annotated[int, AfterValidator(rule)]")
swapped("a limit over an edge", node("return str(x)", RULE, "x: Annotated[int, Field(ge=1)]") + OVER_AN_EDGE, "ge=1", "ge=2")
swapped("a default factory", class_node("self.x", "from pydantic import Field\ndef make():\n    return 4", "x: int = Field(default_factory=make)"), "return 4", "return 6")

# what the function encloses

FACTORY = "def factory(held):\n    @nb.node\n    def NODE(x: int = 3) -> str:\n        return {}\n    return NODE\n"
for name, before, after, use in (
    ("a number enclosed", "2", "3", "str(x * held)"),
    ("a number enclosed, of another type", "2", "2.0", "str(x * held)"),
    ("a truth value enclosed", "1", "True", "repr(held)"),
    ("a list enclosed", "[1, 2]", "[1, 3]", "str(held)"),
    ("a list in a list enclosed", "[[1]]", "[[2]]", "str(held)"),
    ("a dict enclosed", "{'a': 1}", "{'a': 2}", "str(held)"),
    ("the order of a dict enclosed", "{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}", "str(held)"),
    ("a set enclosed", "{1, 2}", "{1, 3}", "str(sorted(held))"),
    ("a tuple enclosed", "(1, [2])", "(1, [3])", "str(held)"),
    ("bytes enclosed", "b'a'", "b'b'", "str(held)"),
    ("a lambda enclosed", "lambda n: n + 1", "lambda n: n + 2", "str(held(x))"),
    ("a lambda in a dict enclosed", "{'f': lambda n: n + 1}", "{'f': lambda n: n + 2}", "str(held['f'](x))"),
    ("a lambda's default enclosed", "lambda n, k=1: n + k", "lambda n, k=2: n + k", "str(held(x))"),
    ("a lambda's keyword default enclosed", "lambda n, *, k=1: n + k", "lambda n, *, k=2: n + k", "str(held(x))"),
    ("a partial enclosed", "partial(pow, 2)", "partial(pow, 3)", "str(held(x))"),
    ("a keyword of a partial enclosed", "partial(round, ndigits=1)", "partial(round, ndigits=2)", "str(held(x / 7))"),
    ("a bound method enclosed", "'ab'.join", "'cd'.join", "held('xy')"),
    ("a pattern enclosed", "re.compile('a')", "re.compile('b')", "str(held.search('abc').start())"),
    ("flags of a pattern enclosed", "re.compile('A')", "re.compile('A', re.I)", "str(bool(held.search('abc')))"),
    ("a path enclosed", "Path('a')", "Path('b')", "str(held)"),
    ("a date enclosed", "date(2020, 1, 1)", "date(2021, 1, 1)", "str(held)"),
    ("a decimal enclosed", "Decimal('1.0')", "Decimal('1.00')", "str(held)"),
    ("an array enclosed", "np.arange(3)", "np.arange(3) + 1", "str(held)"),
    ("the type of an array enclosed", "np.arange(3)", "np.arange(3).astype('int8')", "str(held.dtype)"),
    ("the shape of an array enclosed", "np.arange(4)", "np.arange(4).reshape(2, 2)", "str(held)"),
    ("a tensor enclosed", "torch.arange(3)", "torch.arange(3) + 1", "str(held)"),
    ("a picture enclosed", "Image.new('L', (1, 1), 1)", "Image.new('L', (1, 1), 2)", "str(held.getpixel((0, 0)))"),
    ("a counter enclosed", "Counter('aab')", "Counter('abb')", "str(held['a'])"),
    ("a deque enclosed", "deque([1])", "deque([2])", "str(held)"),
    ("a factory of a defaultdict enclosed", "defaultdict(int)", "defaultdict(list)", "str(held.default_factory())"),
    ("a range enclosed", "range(3)", "range(4)", "str(list(held))"),
    ("a namespace enclosed", "SimpleNamespace(a=1)", "SimpleNamespace(a=2)", "str(held.a)"),
    ("an itemgetter enclosed", "itemgetter(0)", "itemgetter(1)", "str(held('ab'))"),
    ("a frame enclosed", "pd.DataFrame({'a': [1]})", "pd.DataFrame({'a': [2]})", "str(held.a[0])"),
    ("a built-in function enclosed", "abs", "float", "str(held(x))"),
    ("a generic alias enclosed", "list[int]", "list[str]", "str(held)"),
    ("a union enclosed", "int | str", "int | float", "str(held)"),
):
    imports = (
        "import re\nimport numpy as np\nfrom functools import partial\nfrom pathlib import Path\nfrom datetime import date\n"
        "from decimal import Decimal\nfrom collections import Counter, defaultdict, deque\nfrom PIL import Image\n"
        "from types import SimpleNamespace\nfrom operator import itemgetter\n"
    )
    if "torch" in before:
        imports += "import torch\n"
    if "pd." in before:
        imports += "import pandas as pd\n"
    source = imports + FACTORY.format(use)
    EDITS.append(Edit(name, f"{source}NODE = factory({before})\n", f"{source}NODE = factory({after})\n"))
then(
    "a nonlocal value",
    "def factory():\n    n = 1\n    def bump():\n        nonlocal n\n        n += 1\n    @nb.node\n"
    "    def NODE(x: int = 3) -> str:\n        return str(x + n)\n    return NODE, bump\nNODE, bump = factory()\n",
    "bump()\n",
)
then("a list enclosed that is changed in place", FACTORY.format("str(held)") + "L = [1]\nNODE = factory(L)\n", "L.append(2)\n")
then("an array enclosed that is changed in place", "import numpy as np\n" + FACTORY.format("str(held)") + "A = np.arange(3)\nNODE = factory(A)\n", "A[0] = 7\n")
then("a tensor enclosed that is changed in place", "import torch\n" + FACTORY.format("str(held)") + "A = torch.arange(3)\nNODE = factory(A)\n", "A[0] = 7\n")

# globals

then("a global number", node("return str(x * K)", "K = 2"), "K = 3\n")
then("a global that was not there", node("try:\n    return str(K)\nexcept NameError:\n    return 'none'"), "K = 3\n")
then("a global that hides a built-in", node("return str(len('ab'))"), "len = lambda text: 9\n")
then("a global list, changed in place", node("return str(L)", "L = [1]"), "L[0] = 2\n")
then("a global dict, changed in place", node("return str(D)", "D = {'a': [1]}"), "D['a'].append(2)\n")
then("a global set, changed in place", node("return str(sorted(S))", "S = {1}"), "S.add(2)\n")
then("a lambda in a global dict", node("return str(D['f'](x))", "D = {'f': lambda n: n + 1}"), "D['f'] = lambda n: n + 2\n")
then("a global bytearray", node("return str(B)", "B = bytearray(b'a')"), "B[0] = 98\n")
then("a global pattern", node("return str(P.pattern)", "import re\nP = re.compile('a')"), "P = re.compile('b')\n")
then("a global used in a comprehension", node("return str([K for _ in range(2)])", "K = 2"), "K = 3\n")
then("a global used in a lambda", node("return str((lambda: K)())", "K = 2"), "K = 3\n")
then("a global used in a class inside", node("class A:\n    k = K\nreturn str(A.k)", "K = 2"), "K = 3\n")
then("a global used in a default of a function inside", node("def f(k=K):\n    return k\nreturn str(f())", "K = 2"), "K = 3\n")
then("a helper", node("return str(f(x))", "def f(n):\n    return n + 1"), "def f(n):\n    return n + 2\n")
then("a helper of a helper", node("return str(f(x))", "def g(n):\n    return n + 1\ndef f(n):\n    return g(n)"), "def g(n):\n    return n + 2\n")
then("a helper's code, put in place", node("return str(f(x))", "def f(n):\n    return n + 1\ndef g(n):\n    return n + 2"), "f.__code__ = g.__code__\n")
then("a helper's defaults, put in place", node("return str(f(x))", "def f(n, k=1):\n    return n + k"), "f.__defaults__ = (2,)\n")
then("an attribute of a helper", node("return str(f.k)", "def f(n):\n    return n\nf.k = 1"), "f.k = 2\n")
then("helpers in a circle", node("return str(f(x))", "def f(n):\n    return g(n - 1) if n else 'end'\ndef g(n):\n    return f(n)"), "def g(n):\n    return f(n) + '!'\n")
then("an async helper", node("return str(asyncio.run(f(x)))", "import asyncio\nasync def f(n):\n    return n + 1"), "async def f(n):\n    return n + 2\n")
then("a generator helper", node("return str(list(f(x)))", "def f(n):\n    yield n"), "def f(n):\n    yield n\n    yield n\n")
then("a global lambda", node("return str(f(x))", "f = lambda n: n + 1"), "f = lambda n: n + 2\n")
then("a global partial", node("return str(f(x))", "from functools import partial\nf = partial(pow, 2)"), "f = partial(pow, 3)\n")
then("a function behind functools.cache", node("return str(f(x))", "from functools import cache\n@cache\ndef f(n):\n    return n + 1"), "@cache\ndef f(n):\n    return n + 2\n")
DECORATED = "from functools import wraps\ndef twice(f):\n    @wraps(f)\n    def inner(n):\n        return f(f(n))\n    return inner\n@twice\ndef f(n):\n    return n + 1"
swapped("what a decorator wraps", node("return str(f(x))", DECORATED), "n + 1", "n + 2")
swapped("a decorator", node("return str(f(x))", DECORATED), "f(f(n))", "f(f(f(n)))")
swapped("a decorator without wraps", node("return str(f(x))", DECORATED.replace("    @wraps(f)\n", "")), "n + 1", "n + 2")
swapped("a decorator of an installed package", node("with f(x) as y:\n    return str(y)", "from contextlib import contextmanager\n@contextmanager\ndef f(n):\n    yield n + 1"), "n + 1", "n + 2")
swapped("a decorated node", "from functools import wraps\ndef twice(f):\n    @wraps(f)\n    def inner(*a, **k):\n        return f(*a, **k) * 2\n    return inner\n@nb.node\n@twice\ndef NODE(x: int = 3) -> str:\n    return str(x)\n", "* 2", "* 3")
DISPATCH = "from functools import singledispatch\n@singledispatch\ndef f(n):\n    return 'any'\n@f.register\ndef _(n: int):\n    return 'int'"
then("a function registered for a type", node("return f(x)", DISPATCH), "f.register(int)(lambda n: 'whole')\n")
then("a conditional import", node("return str(f(x / 2))", "WAY = 1\nif WAY == 1:\n    from math import floor as f\nelse:\n    from math import ceil as f"), "from math import ceil as f\n")
then("a type alias used in the code", node("return str(isinstance(x, Alias))", "Alias = int | str"), "Alias = float | str\n")
then("a helper that appends to what is read", node("f(x)\nreturn 'ran' + str(M)", "L = []\nM = 1\ndef f(n):\n    L.append(n)"), "M = 2\n")
then("builtins themselves", node("return str(special(x))", "import builtins\nbuiltins.special = lambda n: n + 1"), "builtins.special = lambda n: n + 2\n")

# classes and their instances

CLASS = "class A:\n    K = 1\n    def __init__(self, n=1):\n        self.n = n\n    def f(self):\n        return self.n + self.K"
swapped("a method of a class", node("return str(A().f())", CLASS), "self.n + self.K", "self.n * 10 + self.K")
swapped("a constant of a class", node("return str(A().f())", CLASS), "K = 1", "K = 2")
then("a constant of a class, assigned", node("return str(A().f())", CLASS), "A.K = 2\n")
then("a list of a class, changed in place", node("return str(A.L)", "class A:\n    L = [1]"), "A.L.append(2)\n")
then("a method of a class, assigned", node("return str(A().f())", CLASS), "A.f = lambda self: 7\n")
then("a global instance", node("return str(a.f())", CLASS + "\na = A(1)"), "a = A(2)\n")
then("an attribute of a global instance", node("return str(a.f())", CLASS + "\na = A(1)"), "a.n = 2\n")
then("the class of a global instance", node("return str(a.f())", CLASS + "\na = A(1)"), "A.f = lambda self: 7\n")
then("a bound method of a global instance", node("return str(f())", CLASS + "\na = A(1)\nf = a.f"), "a.n = 2\n")
swapped("a callable instance", node("return str(a(x))", "class A:\n    def __call__(self, n):\n        return n + 1\na = A()"), "n + 1", "n + 2")
swapped("an instance with slots", node("return str(a.n)", "class A:\n    __slots__ = ('n',)\na = A()\na.n = 1"), "a.n = 1", "a.n = 2")
then("a slot, changed in place", node("return str(a.n)", "class A:\n    __slots__ = ('n',)\na = A()\na.n = 1"), "a.n = 2\n")
swapped("a property", node("return str(A().p)", "class A:\n    @property\n    def p(self):\n        return 1"), "return 1", "return 2")
swapped("a cached property", node("return str(A().p)", "from functools import cached_property\nclass A:\n    @cached_property\n    def p(self):\n        return 1"), "return 1", "return 2")
swapped("a class method", node("return str(A.m())", "class A:\n    @classmethod\n    def m(cls):\n        return 1"), "return 1", "return 2")
swapped("a static method", node("return str(A.m())", "class A:\n    @staticmethod\n    def m():\n        return 1"), "return 1", "return 2")
swapped("a base class", node("return str(B().f())", CLASS + "\nclass B(A):\n    pass"), "K = 1", "K = 2")
swapped("a mixin", node("return str(B().m())", CLASS + "\nclass M:\n    def m(self):\n        return 1\nclass B(M, A):\n    pass"), "return 1", "return 2")
swapped("the order of bases", node("return str(C.k)", "class A:\n    k = 1\nclass B:\n    k = 2\nclass C(A, B):\n    pass"), "C(A, B)", "C(B, A)")
swapped("a metaclass", node("return str(A.k)", "class M(type):\n    k = 1\nclass A(metaclass=M):\n    pass"), "k = 1", "k = 2")
swapped("__init_subclass__", node("return str(B.k)", "class A:\n    def __init_subclass__(cls):\n        cls.k = 1\nclass B(A):\n    pass"), "cls.k = 1", "cls.k = 2")
swapped("a descriptor", node("return str(A().d)", "class D:\n    def __get__(self, one, cls):\n        return 1\nclass A:\n    d = D()"), "return 1", "return 2")
swapped("an operator of a class", node("return str(A() + 1)", "class A:\n    def __add__(self, n):\n        return 1"), "return 1", "return 2")
swapped("super in a helper class", node("return B().f()", "class A:\n    def f(self):\n        return 'a'\nclass B(A):\n    def f(self):\n        return super().f()"), "return 'a'", "return 'b'")
DATA = "from dataclasses import dataclass, field\ndef make():\n    return [1]\n@dataclass\nclass P:\n    n: int = 1\n    l: list = field(default_factory=make)"
swapped("a default of a dataclass", node("return str(P())", DATA), "n: int = 1", "n: int = 2")
swapped("a default factory of a dataclass", node("return str(P())", DATA), "return [1]", "return [2]")
swapped("an option of a dataclass", node("return str(P() == P())", DATA), "@dataclass\n", "@dataclass(eq=False)\n")
then("a field of a global dataclass instance", node("return str(p)", DATA + "\np = P()"), "p.l.append(9)\n")
ENUM = "from enum import Enum\nclass Way(Enum):\n    A = 1\n    B = 2\n    def f(self):\n        return 'f'"
swapped("the value of a member", node("return str(Way.A.value)", ENUM), "A = 1", "A = 5")
swapped("the order of members", node("return str([w.name for w in Way])", ENUM), "    A = 1\n    B = 2", "    B = 2\n    A = 1")
swapped("a method of an enumeration", node("return Way.A.f()", ENUM), "return 'f'", "return 'g'")
swapped("a member held by a global", node("return str(WAY)", ENUM + "\nWAY = Way.A"), "WAY = Way.A", "WAY = Way.B")
MODEL = "from pydantic import BaseModel, field_validator\nclass Model(BaseModel):\n    n: int = 1\n    @field_validator('n')\n    @classmethod\n    def rule(cls, v):\n        return v + 1"
swapped("a default of a model", node("return str(Model().n)", MODEL), "n: int = 1", "n: int = 2")
swapped("a validator of a model", node("return str(Model(n=1).n)", MODEL), "v + 1", "v + 2")
then("a global model instance", node("return str(m.n)", MODEL + "\nm = Model()"), "m = Model(n=5)\n")
VALUE = "class Box(BaseModel):\n    n: int = 1\n    def f(self):\n        return 'f'\nfrom typing import Any\nfrom nbgraph.invocations import Integer"
swapped(
    "a method of what arrives",
    node("return b.f()", "from pydantic import BaseModel\n" + VALUE, "b: Any") + "TARGET = lambda: NODE(b=Box(), id='node')\n",
    "return 'f'",
    "return 'g'",
)

# class nodes

swapped("a method of a class node", class_node("self.f()", inside="x: int = 3\ndef f(self):\n    return 1"), "return 1", "return 2")
swapped("a constant of a class node", class_node("self.K", inside="x: int = 3\nK: ClassVar[int] = 1"), "= 1", "= 2")
then("a constant of a class node, assigned", class_node("self.K", inside="x: int = 3\nK: ClassVar[int] = 1"), "NODE.K = 2\n")
swapped("invoke of a class node", class_node("self.x"), "str(self.x)", "str(self.x + 1)")
swapped("a property of a class node", class_node("self.p", inside="x: int = 3\n@property\ndef p(self):\n    return 1"), "return 1", "return 2")
swapped("a static method of a class node", class_node("self.p()", inside="x: int = 3\n@staticmethod\ndef p():\n    return 1"), "return 1", "return 2")
swapped("a default of a class node", class_node("self.x"), "x: int = 3", "x: int = 4")
swapped("a limit of a class node", class_node("self.x", "from pydantic import Field", "x: int = Field(3, ge=1)"), "ge=1", "ge=2")
VALIDATED = "x: int = 3\n@field_validator('x')\n@classmethod\ndef rule(cls, v):\n    return v + 1"
swapped("a validator of a class node", class_node("self.x", "from pydantic import field_validator", VALIDATED), "v + 1", "v + 2")
swapped("a mode of a validator", class_node("self.x", "from pydantic import field_validator", VALIDATED), "('x')", "('x', mode='before')")
swapped("a configuration of a class node", class_node("repr(self.x)", inside="x: int = 3\nmodel_config = {'validate_default': False}"), "False", "True")
BASE = "class Base(BaseInvocation):\n    x: int = 3\n    def f(self):\n        return 1\n    def invoke(self, context) -> StringOutput:\n        return StringOutput(value='base')"
swapped("a base of a class node", class_node("self.f()", BASE, "pass", "Base"), "return 1", "return 2")
swapped("super().invoke", class_node("super().invoke(context).value", BASE, "pass", "Base"), "'base'", "'other'")
swapped("a mixin of a class node", class_node("self.m()", "class M:\n    def m(self):\n        return 1", "x: int = 3", "M, BaseInvocation"), "return 1", "return 2")
swapped("an output class", "class Out(BaseInvocationOutput):\n    a: int = 1\n@invocation('NODE')\nclass NODE(BaseInvocation):\n    x: int = 3\n    def invoke(self, context: InvocationContext) -> Out:\n        return Out()\n", "a: int = 1", "a: int = 2")
swapped("an output renamed", "class Out(BaseInvocationOutput):\n    a: int = 1\n@invocation('NODE')\nclass NODE(BaseInvocation):\n    x: int = 3\n    def invoke(self, context: InvocationContext) -> Out:\n        return Out()\n", "a: int = 1", "b: int = 1")
then("a private constant of a class node", class_node("self._K", inside="x: int = 3\n_K: ClassVar[list] = [1]"), "NODE._K.append(2)\n")
then("a global of a method of a class node", class_node("self.f()", "K = 1", "x: int = 3\ndef f(self):\n    return K"), "K = 2\n")
swapped("a version", class_node("self.x"), "1.0.0", "1.0.1")

# modules

HELPERS = "module('helpers', 'K = 1\\nL = [1]\\ndef f(n):\\n    return n + K\\nclass A:\\n    k = 1\\n')\n"
RELOADED = HELPERS.replace("K = 1", "K = 2").replace("k = 1", "k = 2").replace("[1]", "[2]")
then("a module that is reloaded", node("return str(helpers.f(x))", HELPERS + "import helpers"), RELOADED)
then("a name from a module, taken anew", node("return str(f(x))", HELPERS + "from helpers import f"), RELOADED + "from helpers import f\n")
then("an alias of a module", node("return str(h.K)", HELPERS + "import helpers as h"), RELOADED)
then("an attribute of a module, assigned", node("return str(helpers.K)", HELPERS + "import helpers"), "helpers.K = 5\n")
then("a list of a module, changed in place", node("return str(helpers.L)", HELPERS + "import helpers"), "helpers.L.append(5)\n")
then("a class of a module", node("return str(helpers.A.k)", HELPERS + "import helpers"), RELOADED)
then("a module imported inside", node("import helpers\nreturn str(helpers.f(x))", HELPERS), RELOADED)
then("a name imported inside", node("from helpers import f\nreturn str(f(x))", HELPERS), RELOADED)
then("a module imported inside, by an alias", node("import helpers as h\nreturn str(h.f(x))", HELPERS), RELOADED)
then("a module that is looked into", node("return str(getattr(helpers, 'K'))", HELPERS + "import helpers"), RELOADED)
then("a module in a list", node("return str([m.K for m in MODULES])", HELPERS + "import helpers\nMODULES = [helpers]"), RELOADED)
then("a global of a module that its function uses", node("return str(f(x))", HELPERS + "import helpers\nfrom helpers import f"), "helpers.K = 5\n")
then("a function put into an installed module", node("return str(math.twice(x))", "import math\nmath.twice = lambda n: 2 * n"), "math.twice = lambda n: 3 * n\n")
then("another function under an installed name", node("return str(f(x / 2))", "from math import floor as f"), "from math import ceil as f\n")

# what need not run again

unchanged("a comment", node("return str(x)"), "return", "# a comment\n    return")
unchanged("a line", node("return str(x)"), "@nb.node", "\n\n\n@nb.node")
unchanged("a docstring", node("'''Text.'''\nreturn str(x)"), "Text", "Another text")
unchanged("a docstring added", node("return None or str(x)"), "    return", "    'A text.'\n    return")
unchanged("a line broken in two", node("return str(x)"), "str(x)", "str(\n        x\n    )")
unchanged("other quotes", node("return str(x) + 'a'"), "'a'", '"a"')
unchanged("a comment in a helper", node("return str(f(x))", "def f(n):\n    return n + 1"), "    return n", "    # why\n    return n")
unchanged("a docstring of a class node", class_node("self.x", inside="'''Text.'''\nx: int = 3"), "Text", "Another text")
unchanged("the order of methods", class_node("self.f()", inside="x: int = 3\ndef f(self):\n    return 1\ndef g(self):\n    return 2"), "    def f(self):\n        return 1\n    def g(self):\n        return 2\n", "    def g(self):\n        return 2\n    def f(self):\n        return 1\n")
unchanged("the same again", node("return str(f(x) + K)", "K = 2\ndef f(n):\n    return n"), "K = 2", "K = 2")
then("a list replaced by an equal one", node("return str(L)", "L = [1, [2]]"), "L = [1, [2]]\n", runs_again=False)
then("a global that is not used", node("return str(x)", "K = 1"), "K = 2\n", runs_again=False)
then("a helper that is not used", node("return str(x)", "def f():\n    return 1"), "def f():\n    return 2\n", runs_again=False)
then("a list that is only appended to", node("L.append(x)\nreturn str(x)", "L = []"), "L.append(9)\n", runs_again=False)
then("an attribute of a module that is not used", node("return str(helpers.K)", HELPERS + "import helpers"), "helpers.L.append(5)\n", runs_again=False)
then("a module reloaded unchanged", node("return str(helpers.f(x))", HELPERS + "import helpers"), HELPERS, runs_again=False)


def notebook_of(number: int) -> Notebook:
    """The notebook of an edit, with its first cell run."""
    notebook = Notebook(number)
    notebook.run(EDITS[number].cell)
    return notebook


def outcome(studio: Any, target: BaseInvocation) -> dict[str, Any]:
    """What `explain` says of the node, whether it then ran, and what it gave, or the error."""
    # the rows of `studio.explain` and `run.stats`: to make the frames of all edits takes longer than to run them
    reasons = explain(GraphExecutionState(Graph.of(target)), studio.services)
    (reason,) = (each for each in reasons if each.node == "node")
    run = studio.run(target, progress=False, on_error="continue")
    error = str(run.errors[0]) if run.errors else ""
    (row,) = (each for each in studio.services.performance_statistics.rows(run.id) if each.node == "node")
    gave = error or repr(run.session.outputs_of("node")[()].model_dump())
    return {"said": reason.will_run, "because": reason.because, "ran": bool(error) or not row.cached, "gave": gave}


def wrong_before(studio: Any, notebook: Notebook) -> list[str]:
    """What is wrong with a node that ran before, with all as it was: it has to be cached."""
    found = outcome(studio, notebook.target)
    return [f"ran again: {found}"] if found["said"] or found["ran"] else []


def wrong_after(studio: Any, fresh: Any, notebook: Notebook, edit: Edit) -> list[str]:
    """What is wrong after the change, compared with a studio that has no results."""
    fresh.cache.clear()
    found, wanted = outcome(studio, notebook.target), outcome(fresh, notebook.target)
    problems = []
    if found["gave"] != wanted["gave"]:
        problems.append(f"stale: {found} for {wanted['gave']}")
    if found["said"] != found["ran"]:
        problems.append(f"explain is wrong: {found}")
    if found["ran"] != edit.runs_again:
        problems.append(f"ran, or did not: {found}")
    if found["ran"] and not any(reason in found["because"] for reason in REASONS):
        problems.append(f"says nothing of what changed: {found}")
    return problems
